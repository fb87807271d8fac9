"""What a newsletter's settings may be, pure: each field's rule, and whether a newsletter can publish."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import urlsplit

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_publishing.newsletters.site_origin import ORIGINS_MAX, SiteOrigin
from broadsheet_publishing.newsletters.time_zone import find_zone

UnsubscribeHandling = Literal["custom", "postmark"]

NAME_CHARS_MAX: Final = 200
SLUG_CHARS_MAX: Final = 63
TEXT_CHARS_MAX: Final = 2_000
SENDER_NAME_CHARS_MAX: Final = 200
"""With the address below the 255 characters that Postmark takes in From."""
URL_CHARS_MAX: Final = 2_000
BUTTON_CHARS_MAX: Final = 60
HEADING_CHARS_MAX: Final = 200

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# https://postmarkapp.com/developer/api/message-streams-api: letters, digits, - and _; it begins with a letter.
_STREAM = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,29}")
# RFC 5646, the forms in use: language, script, region, variants.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?(?:-[A-Za-z0-9]{5,8}){0,2}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
# Mail programs make links of these. A mail to somebody who has not agreed yet is no place for advertising.
_WEB_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)
_NOT_IN_LINES = frozenset({"Cc", "Zl", "Zp", "Cs"})
_NOT_IN_TEXTS = frozenset({"Cs"})
_LINE_BREAKS = frozenset({"\n", "\r", "\t"})

MissingSetting = Literal["from_email", "postal_address"]


def missing_settings(
    *, from_email: str | None, postal_address: str, installation_has_sender: bool
) -> tuple[MissingSetting, ...]:
    """What a newsletter lacks before it can publish.

    A sender, its own or the installation's; and the postal address that the law asks for in a newsletter (in the
    United States 15 U.S.C. 7704(a)(5), CAN-SPAM).
    """
    missing: list[MissingSetting] = []
    if from_email is None and not installation_has_sender:
        missing.append("from_email")
    if not postal_address.strip():
        missing.append("postal_address")
    return tuple(missing)


def parse_settings(given: Mapping[str, object]) -> dict[str, object]:
    """The values to store, by column. `given` holds the fields that were sent, of the types that the API names.

    Raises:
        InvalidInputError: names every field at fault.
    """
    problems: list[FieldProblem] = []
    parsed: dict[str, object] = {}
    for field, value in given.items():
        if field == "allowed_origins":
            assert isinstance(value, list)
            parsed[field] = _origins(value, problems)
            continue
        if field == "texts":
            assert isinstance(value, Mapping)
            parsed[field] = _texts(value, problems)
            continue
        try:
            parsed[field] = _PARSERS[field](value) if field in _PARSERS and value is not None else value
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/{field}", detail=str(error)))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return parsed


def _origins(raw: Sequence[object], problems: list[FieldProblem]) -> list[str]:
    origins: list[str] = []
    for position, one in enumerate(raw):
        try:
            origins.append(str(SiteOrigin.parse(str(one))))
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/allowed_origins/{position}", detail=str(error)))
    if len(origins) > ORIGINS_MAX:
        problems.append(FieldProblem(pointer="/allowed_origins", detail=f"At most {ORIGINS_MAX} sites."))
    return list(dict.fromkeys(origins))


def _texts(given: Mapping[str, object], problems: list[FieldProblem]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for name, value in given.items():
        try:
            parsed[name] = _READER_TEXTS[name](value)
            if name.startswith("confirmation_mail_") and _WEB_ADDRESS.search(parsed[name]):
                raise ValueError(_ONE_LINK)
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/texts/{name}", detail=str(error)))
    return parsed


def _text(chars_max: int, *, is_line: bool = False, is_needed: bool = False) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = str(value).strip()
        forbidden = _NOT_IN_LINES if is_line else _NOT_IN_TEXTS
        found = {unicodedata.category(char) for char in text if is_line or char not in _LINE_BREAKS}
        if found & (forbidden | {"Cc"}):
            raise ValueError("It may not hold line breaks or control characters." if is_line else _CONTROLS)
        if is_needed and not text:
            raise ValueError("It may not be empty.")
        if len(text) > chars_max:
            raise ValueError(f"It may be at most {chars_max} characters long; this is {len(text)}.")
        return text

    return parse


_CONTROLS: Final = "It may not hold control characters."
_ONE_LINK: Final = "The mail that asks to confirm holds one link, its own: leave web addresses out."


def _slug(value: object) -> str:
    text = str(value).strip()
    if _SLUG.fullmatch(text) is None:
        raise ValueError("A slug is 1 to 63 of a-z, 0-9 and -, and does not begin with -.")
    return text


def _address(value: object) -> str:
    return str(EmailAddress.parse(str(value)))


def _stream(value: object) -> str:
    text = str(value).strip()
    if _STREAM.fullmatch(text) is None:
        raise ValueError("A stream's id is 1 to 30 letters, digits, - and _, and begins with a letter.")
    return text


def _language(value: object) -> str:
    text = str(value).strip()
    if _LANGUAGE.fullmatch(text) is None:
        raise ValueError("Expected is a language tag, for example en, pt-BR or zh-Hant.")
    return text


def _time_zone(value: object) -> str:
    text = str(value).strip()
    if find_zone(text) is None:
        raise ValueError("There is no such time zone. Expected is an IANA name, for example Europe/Paris.")
    return text


def _colour(value: object) -> str:
    text = str(value).strip().lower()
    if _COLOUR.fullmatch(text) is None:
        raise ValueError("Expected is a colour as # and six hexadecimal digits, for example #7a1f1f.")
    return text


def _url(value: object) -> str:
    text = str(value).strip()
    if len(text) > URL_CHARS_MAX or not text.isprintable() or any(char.isspace() for char in text):
        raise ValueError("This is not the address of a picture.")
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname)
    except ValueError as error:
        raise ValueError("This is not the address of a picture.") from error
    if parts.scheme != "https" or not has_host or parts.username is not None:
        raise ValueError("Expected is an address that begins with https://: mail programs load no other.")
    return text


_PARSERS: Final[Mapping[str, Callable[[object], object]]] = {
    "name": _text(NAME_CHARS_MAX, is_line=True, is_needed=True),
    "slug": _slug,
    "description": _text(TEXT_CHARS_MAX),
    "from_name": _text(SENDER_NAME_CHARS_MAX, is_line=True, is_needed=True),
    "from_email": _address,
    "reply_to": _address,
    "postal_address": _text(TEXT_CHARS_MAX),
    "message_stream": _stream,
    "language": _language,
    "time_zone": _time_zone,
    "accent_colour": _colour,
    "logo_url": _url,
    "logo_alt": _text(HEADING_CHARS_MAX, is_line=True),
    "sign_up_heading": _text(HEADING_CHARS_MAX, is_line=True),
    "sign_up_text": _text(TEXT_CHARS_MAX),
    "sign_up_button": _text(BUTTON_CHARS_MAX, is_line=True),
}
"""Fields without a rule here are booleans and choices, which their types bound."""


def _reader_text(name: str) -> Callable[[object], str]:
    if name.endswith("_text"):
        return _text(TEXT_CHARS_MAX)
    return _text(BUTTON_CHARS_MAX if name.endswith("_button") else HEADING_CHARS_MAX, is_line=True)


_READER_TEXTS: Final = {name: _reader_text(name) for name in ReaderTexts.__struct_fields__}
