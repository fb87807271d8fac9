"""A newsletter as the pages on its settings have it, and the settings as fields of a form; pure.

The member names are the API's (`GET /api/v1/newsletters/{id}`), so that its answers decode into these Structs.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts

MISSING_IN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {"from_email": "a sender", "postal_address": "a postal address"}
)


class StreamCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What Postmark says of the newsletter's stream."""

    state: Literal["ok", "mismatch", "unknown"]
    detail: str | None = None


class WelcomeFault(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    detail: str
    line: int | None = None


class WelcomeMail(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    subject: str = ""
    content: str = ""
    faults: tuple[WelcomeFault, ...] = ()


class Newsletter(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    slug: str
    name: str
    is_default: bool = False
    missing: tuple[str, ...] = ()
    description: str = ""
    from_name: str | None = None
    from_email: str | None = None
    reply_to: str | None = None
    postal_address: str = ""
    message_stream: str = "broadcast"
    unsubscribe_handling: Literal["custom", "postmark"] = "custom"
    stream_check: StreamCheck = StreamCheck(state="unknown")
    language: str = "en"
    direction: Literal["ltr", "rtl"] = "ltr"
    time_zone: str = "UTC"
    accent_colour: str = "#7a1f1f"
    logo_url: str | None = None
    logo_alt: str = ""
    layout_id: int | None = None
    welcome_mail: WelcomeMail = WelcomeMail()
    sign_up_heading: str = ""
    sign_up_text: str = ""
    sign_up_button: str = ""
    texts: ReaderTexts = OUR_WORDS
    allowed_origins: tuple[str, ...] = ()
    is_listed: bool = False
    has_archive: bool = True
    archive_is_hidden: bool = False
    track_opens: bool = False
    track_links: bool = False
    requires_approval: bool = False
    archived_at: datetime | None = None

    @property
    def missing_in_words(self) -> tuple[str, ...]:
        return tuple(MISSING_IN_WORDS.get(name, name) for name in self.missing)


LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "name": "Name",
        "slug": "Address of its page",
        "description": "Description",
        "is_listed": "The public home page names it",
        "from_name": "Name of the sender",
        "from_email": "Address of the sender",
        "reply_to": "Replies go to",
        "postal_address": "Postal address",
        "message_stream": "Stream at Postmark",
        "unsubscribe_handling": "Who handles unsubscribing",
        "language": "Language",
        "direction": "Direction of writing",
        "time_zone": "Time zone",
        "accent_colour": "Colour",
        "logo_url": "Address of the logo",
        "logo_alt": "The logo in words",
        "layout_id": "Layout of its mails",
        "sign_up_heading": "Heading of the sign-up page",
        "sign_up_text": "Text of the sign-up page",
        "sign_up_button": "Button of the sign-up page",
        "allowed_origins": "Sites that hold its form",
        "has_archive": "Sent issues can be read on the web",
        "archive_is_hidden": "Ask search engines not to list them",
        "track_opens": "Postmark reports who opens a mail",
        "track_links": "Postmark reports which links are followed",
        "requires_approval": "An issue goes out only after another person approved it",
        "welcome_enabled": "Send the welcome mail once, when somebody has confirmed for the first time",
        "welcome_subject": "Subject of the welcome mail",
        "welcome_content": "Text of the welcome mail",
    }
)
"""Every field of the form, in its order."""

_TICKED: Final = frozenset(
    {"is_listed", "has_archive", "archive_is_hidden", "track_opens", "track_links", "requires_approval"}
)
_MAY_BE_NULL: Final = frozenset({"from_name", "from_email", "reply_to", "logo_url"})
_WELCOME: Final = "welcome_"
YES: Final = "yes"

Fields = Mapping[str, str]
"""Values as a form has them: a ticked box is `yes`, sites stand one a line, nothing is null."""


def fields_of(newsletter: Newsletter) -> Fields:
    values: dict[str, object] = msgspec.structs.asdict(newsletter)
    welcome = newsletter.welcome_mail
    values |= {
        "allowed_origins": "\n".join(newsletter.allowed_origins),
        "welcome_enabled": welcome.enabled,
        "welcome_subject": welcome.subject,
        "welcome_content": welcome.content,
    }
    return {name: _as_field(values[name]) for name in LABELS}


def _as_field(value: object) -> str:
    match value:
        case True:
            return YES
        case None | False:
            return ""
        case _:
            return str(value)


def changes_between(saved: Fields, typed: Fields) -> dict[str, object]:
    """What the API is sent: the fields that differ, as it names and types them."""
    changed = {name: value.strip() for name, value in typed.items() if value.strip() != saved[name].strip()}
    body: dict[str, object] = {}
    welcome: dict[str, object] = {}
    for name, value in changed.items():
        if name.startswith(_WELCOME):
            part = name.removeprefix(_WELCOME)
            welcome[part] = value == YES if part == "enabled" else value
        else:
            body[name] = _as_sent(name, value)
    return body | ({"welcome_mail": welcome} if welcome else {})


def _as_sent(name: str, value: str) -> object:
    if name in _TICKED:
        return value == YES
    if name == "allowed_origins":
        return [line.strip() for line in value.splitlines() if line.strip()]
    if name == "layout_id":
        return int(value) if value.isascii() and value.isdigit() else None
    return None if name in _MAY_BE_NULL and not value else value


def errors_by_field(refused: Mapping[str, str]) -> dict[str, str]:
    """The service's messages, by the fields of the form: `welcome_mail/subject` is `welcome_subject`, and
    `texts/confirm_text` is `confirm_text`.
    """
    errors: dict[str, str] = {}
    for pointer, detail in refused.items():
        first, _, rest = pointer.partition("/")
        if first == "welcome_mail":
            errors.setdefault(f"{_WELCOME}{rest.partition('/')[0] or 'content'}", detail)
        elif first == "texts":
            errors.setdefault(rest or first, detail)
        elif first == "allowed_origins" and rest.isdigit():
            errors.setdefault(first, f"Line {int(rest) + 1}: {detail}")
        else:
            errors.setdefault(first, detail)
    return errors
