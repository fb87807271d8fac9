"""The columns of a file, pure: what each of them is, guessed from its title or told.

A file without titles (its first row holds an address) gets `column_1` and so on; there the addresses are where most
cells are addresses.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeType
from broadsheet_subscriptions.imports.reading.csv_records import DELIMITERS, split_lines
from broadsheet_subscriptions.imports.reading.record import COLUMNS_MAX, UnreadableFileError

ATTRIBUTE_PREFIX: Final = "attribute:"
FIELDS: Final = frozenset({"email", "name", "first_name", "last_name", "tags", "state"})
TITLE_CHARS_MAX: Final = 200
_ADDRESSES_SHARE: Final = 0.5
_BLANK: Final = "\ufeff\u200b\u2060\u00a0 \t\r\n"
_NOT_ALPHANUMERIC: Final = re.compile(r"[\W_]+")
_TITLES: Final[dict[str, tuple[str, ...]]] = {
    "email": (
        "email", "mail", "emailaddress", "mailaddress", "addressemail", "emailadresse", "adressemail", "courriel",
        "correo", "correoelectronico", "subscriberemail", "emailid", "epost", "emailaddr",
    ),
    "name": ("name", "fullname", "displayname", "subscribername", "contactname", "nombre"),
    "first_name": ("firstname", "givenname", "fname", "vorname", "prenom", "prénom", "forename"),
    "last_name": ("lastname", "familyname", "surname", "lname", "nachname", "nomdefamille"),
    "tags": ("tags", "tag", "labels"),
    "state": ("state", "status", "subscriptionstate", "subscriptionstatus"),
}  # fmt: skip

Mapping_ = dict[str, str | None]
"""By title: `email`, `name`, `first_name`, `last_name`, `tags`, `state`, `attribute:<name>`; None: not read."""


class KnownAttribute(msgspec.Struct, frozen=True):
    name: str
    type: AttributeType
    label: str


class Columns(msgspec.Struct, frozen=True):
    """`has_titles`: the first row is not a person."""

    titles: list[str]
    mapping: Mapping_
    has_titles: bool


def open_columns(
    first_rows: Sequence[Sequence[str]], attributes: Sequence[KnownAttribute], given: Mapping[str, str | None] | None
) -> Columns:
    """Raises `UnreadableFileError` when no column is the address, with what the columns are."""
    if not first_rows:
        raise UnreadableFileError("The file has no rows.")
    # NUL is the one character that Postgres takes nowhere, and titles are kept.
    first = [cell.strip(_BLANK).replace("\0", "\ufffd") for cell in first_rows[0]]
    has_titles = not any(_is_address(cell) for cell in first)
    titles = _distinct(first) if has_titles else [f"column_{number}" for number in range(1, len(first) + 1)]
    if len(titles) > COLUMNS_MAX:
        raise UnreadableFileError(f"There are more than {COLUMNS_MAX} columns.")
    if given is not None:
        return Columns(titles, check_mapping(titles, given, attributes), has_titles)
    mapping = _guess(titles, attributes)
    if "email" not in mapping.values():
        found = _find_addresses(first_rows[1 if has_titles else 0 :], len(titles))
        if found is None:
            names = ", ".join(f"“{title[:40]}”" for title in titles[:20])
            raise UnreadableFileError(
                f"No column holds e-mail addresses. Columns found: {names}. Say with `mapping` which one it is."
            )
        mapping[titles[found]] = "email"
    return Columns(titles, mapping, has_titles)


def check_mapping(
    titles: Sequence[str], given: Mapping[str, str | None], attributes: Sequence[KnownAttribute]
) -> Mapping_:
    """What was told, made complete: a column that is not mentioned is not read. Raises `UnreadableFileError`."""
    unknown = [title for title in given if title not in titles]
    if unknown:
        raise UnreadableFileError(f"The mapping names the column “{unknown[0][:40]}”, which the file does not have.")
    if fault := fault_of_mapping(given, [attribute.name for attribute in attributes]):
        raise UnreadableFileError(fault)
    return {title: given.get(title) for title in titles}


def fault_of_mapping(given: Mapping[str, str | None], attribute_names: Sequence[str]) -> str | None:
    """What is wrong with a mapping, whatever the file; None: nothing."""
    targets = [target for target in given.values() if target is not None]
    for target in targets:
        name = target.removeprefix(ATTRIBUTE_PREFIX)
        if target not in FIELDS and (name == target or name not in attribute_names):
            return f"The mapping says “{target[:80]}”, which is neither a field nor an attribute that there is."
    twice = [target for target in dict.fromkeys(targets) if targets.count(target) > 1]
    if twice:
        return f"The mapping gives “{twice[0][:80]}” to more than one column."
    if "email" not in targets:
        return "The mapping gives no column `email`."
    return None


def detect_delimiter(lines: Sequence[str], attributes: Sequence[KnownAttribute]) -> str:
    """The one under which the first lines look most like a table of people."""

    def merit(delimiter: str) -> tuple[bool, float, int]:
        rows = split_lines(lines, delimiter)
        if not rows:
            return False, 0.0, 0
        width = len(rows[0])
        titles = [cell.strip(_BLANK) for cell in rows[0]]
        has_email = "email" in _guess(_distinct(titles), attributes).values() or any(map(_is_address, titles))
        alike = sum(len(row) == width for row in rows) / len(rows)
        return has_email, alike if width > 1 else 0.0, width

    return max(DELIMITERS, key=merit)


def titles_of_attributes(
    before: Sequence[str], attributes: Sequence[KnownAttribute], after: Sequence[str]
) -> list[str]:
    """How the columns of attributes are called between others, so that they are taken for what they are: by name where
    that is clear, else as `attribute:<name>`.
    """
    names = [attribute.name for attribute in attributes]
    guessed = _guess(_distinct([*before, *names, *after]), attributes)
    return [name if guessed[name] == f"{ATTRIBUTE_PREFIX}{name}" else f"{ATTRIBUTE_PREFIX}{name}" for name in names]


def _guess(titles: Sequence[str], attributes: Sequence[KnownAttribute]) -> Mapping_:
    exact = {f"{ATTRIBUTE_PREFIX}{attribute.name}" for attribute in attributes}
    targets = {title: field for field, known in _TITLES.items() for title in known}
    # Names are distinct; a label may be another's name.
    known_as = [(attribute.name, attribute.name) for attribute in attributes]
    known_as += [(attribute.label, attribute.name) for attribute in attributes]
    for title, name in known_as:
        targets.setdefault(_plain(title), f"{ATTRIBUTE_PREFIX}{name}")
    mapping: Mapping_ = {}
    for title in titles:
        target = title if title in exact else targets.get(_plain(title))
        mapping[title] = None if target in mapping.values() else target
    if "name" in mapping.values():
        # The whole name says what its parts would.
        mapping = {title: None if field in {"first_name", "last_name"} else field for title, field in mapping.items()}
    return mapping


def _plain(title: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", title.casefold())


def _distinct(titles: Sequence[str]) -> list[str]:
    """Titles as they can be named: none is blank, and none there twice."""
    seen: dict[str, None] = {}
    for number, raw in enumerate(titles, start=1):
        base = raw[:TITLE_CHARS_MAX] or f"column_{number}"
        title, again = base, 2
        while title in seen:
            title, again = f"{base} ({again})", again + 1
        seen[title] = None
    return list(seen)


def _find_addresses(rows: Sequence[Sequence[str]], width: int) -> int | None:
    counts = [sum(_is_address(row[column]) for row in rows if column < len(row)) for column in range(width)]
    best = max(range(width), key=counts.__getitem__, default=None)
    return best if best is not None and rows and counts[best] >= len(rows) * _ADDRESSES_SHARE and counts[best] else None


def _is_address(cell: str) -> bool:
    if "@" not in cell or len(cell) > TITLE_CHARS_MAX:
        return False
    try:
        EmailAddress.parse(cell)
    except ValueError:
        return False
    return True
