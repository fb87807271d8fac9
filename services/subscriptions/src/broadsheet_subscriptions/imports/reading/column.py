"""The columns of a file, pure: what each of them is, guessed from its title or given in the mapping.

Titles need not be in the first row: reports begin with a heading, a date, a blank line. A file without titles
(its first row contains an address) gets the titles `column_1` and so on; its addresses are in the column in which
most cells are addresses.

In any case, a column that says who may not be written to is read as such (`opt_out`), and a column that may say
so is undecided until a person decides it.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeType
from broadsheet_subscriptions.imports.reading.csv_records import DELIMITERS, split_lines
from broadsheet_subscriptions.imports.reading.opt_out import (
    UndecidedColumn,
    find_opt_outs,
    is_state_target,
    title_says,
    undecided_column,
)
from broadsheet_subscriptions.imports.reading.record import COLUMNS_MAX, UnreadableFileError
from broadsheet_subscriptions.subscribers.tag_cell import tag_words

ATTRIBUTE_PREFIX: Final = "attribute:"
FIELDS: Final = frozenset({"email", "name", "first_name", "last_name", "tags"})
TITLE_CHARS_MAX: Final = 200
_PERSONAL: Final = frozenset({"email", "name", "first_name", "last_name"})
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
}  # fmt: skip
_TARGET_OF_TITLE: Final = {title: field for field, known in _TITLES.items() for title in known}
_PREAMBLE_ROWS_MAX: Final = 20

Mapping_ = dict[str, str | None]
"""What each column is, by title: `email`, `name`, `first_name`, `last_name`, `tags`, `attribute:<name>`; how it says
who may not be written to (`state`, `opt_out`, `opt_in`, `confirmation`), or that it does not (`ignored`); None:
not read.
"""


class KnownAttribute(msgspec.Struct, frozen=True):
    name: str
    type: AttributeType
    label: str


class Columns(msgspec.Struct, frozen=True):
    """`first_row`: the first row that is a person, counted from 0. The row before it holds the titles, if there are
    any.
    """

    titles: list[str]
    mapping: Mapping_
    first_row: int
    undecided: list[UndecidedColumn]

    @property
    def has_titles(self) -> bool:
        return self.first_row > 0


class NoAddressColumnError(UnreadableFileError):
    """No column holds addresses. `columns`: what was found, so that somebody can say which one does."""

    def __init__(self, message: str, columns: Columns) -> None:
        super().__init__(message)
        self.columns = columns


def open_columns(
    first_rows: Sequence[Sequence[str]], attributes: Sequence[KnownAttribute], given: Mapping[str, str | None] | None
) -> Columns:
    """Raises `UnreadableFileError`, and `NoAddressColumnError`, which lists the columns, if none holds addresses."""
    if not first_rows:
        raise UnreadableFileError("The file has no rows.")
    at = _find_titles(first_rows)
    raw = [] if at is None else _trimmed(first_rows[at])
    rows = first_rows[0 if at is None else at + 1 :]
    width = len(raw) if at is not None else len(first_rows[0])
    if width > COLUMNS_MAX:
        raise UnreadableFileError(f"There are {width} columns; at most {COLUMNS_MAX} can be read.")
    # Titles are stored, and NUL is the one character that Postgres does not store.
    cleaned = [cell.replace("\0", "\ufffd") for cell in raw]
    titles = [f"column_{number}" for number in range(1, width + 1)] if at is None else _distinct(cleaned)
    told = None if given is None else check_mapping(titles, given, attributes)
    first_row = 0 if at is None else at + 1
    mapping = told if told is not None and "email" in told.values() else _guess_all(titles, attributes, rows, told)
    if "email" not in mapping.values():
        names = ", ".join(f"“{title[:40]}”" for title in titles[:20])
        raise NoAddressColumnError(
            f"No column holds e-mail addresses. Columns found: {names}. Say in the mapping which one does.",
            Columns(titles, mapping, first_row, []),
        )
    undecided = _decide(titles, mapping, told or {}, rows)
    return Columns(titles, mapping, first_row, undecided)


def _guess_all(
    titles: Sequence[str],
    attributes: Sequence[KnownAttribute],
    rows: Sequence[Sequence[str]],
    told: Mapping_ | None,
) -> Mapping_:
    """It has no `email` if neither a title nor the cells of a column are of addresses."""
    mapping = _guess(titles, attributes)
    if told is not None:
        mapping |= {title: target for title, target in told.items() if target is not None}
    if "email" not in mapping.values():
        found = _find_addresses(rows, len(titles))
        if found is not None:
            mapping[titles[found]] = "email"
    return mapping


def _decide(
    titles: Sequence[str], mapping: Mapping_, told: Mapping_, rows: Sequence[Sequence[str]]
) -> list[UndecidedColumn]:
    """Adds to the mapping the columns that certainly say who may not be written to. Returns those that may say so
    and are not decided.
    """
    findings = find_opt_outs(titles, [_plain(title) for title in titles], rows)
    undecided = []
    for column, title in enumerate(titles):
        target, guess = told.get(title), mapping.get(title)
        cells = [row[column] for row in rows if column < len(row)]
        if guess in _PERSONAL and target is None:
            continue  # addresses and names say nothing about it
        if guess == "tags" and target is None:
            finding = find_opt_outs(["tags"], ["tags"], [[word] for cell in cells for word in tag_words(cell)]).get(
                "tags"
            )
        else:
            finding = findings.get(title)
        if finding is None or (title == guess and title.startswith(ATTRIBUTE_PREFIX)):
            continue  # a title like `attribute:active` says what the column is
        is_certain = finding.certainty == "certain"
        if target is None and is_certain:
            mapping[title] = finding.meaning
            continue
        column_found = undecided_column(title, finding.reason, cells, only_states=is_certain)
        if not column_found.is_decided_by(target):
            undecided.append(column_found)
    return undecided


def _find_titles(rows: Sequence[Sequence[str]]) -> int | None:
    """The number of the row that holds the titles; None: there are none, and the first row is a person.

    It is the first row that has a title for addresses and no address. If there is none, it is the first row
    before the first person that fills at least half as many cells: lines of a report's heading fill fewer.
    """
    looked_at = [[cell.strip(_BLANK) for cell in row[: COLUMNS_MAX + 1]] for row in rows[: _PREAMBLE_ROWS_MAX + 1]]
    people = [number for number, row in enumerate(looked_at) if any(map(_is_address, row))]
    for number, row in enumerate(looked_at):
        if number not in people and any(_TARGET_OF_TITLE.get(_plain(cell)) == "email" for cell in row):
            return number
    if not people:
        return 0
    first = people[0]
    if first == 0:
        return None
    width = len(looked_at[first])
    return next((n for n in range(first) if 2 * sum(map(bool, looked_at[n])) >= width), 0)


def _trimmed(row: Sequence[str]) -> list[str]:
    """The row without the empty cells at its end, which spreadsheets may add, if it has more than COLUMNS_MAX cells."""
    titles = [cell.strip(_BLANK) for cell in row]
    while len(titles) > COLUMNS_MAX and not titles[-1]:
        titles.pop()
    return titles


def check_mapping(
    titles: Sequence[str], given: Mapping[str, str | None], attributes: Sequence[KnownAttribute]
) -> Mapping_:
    """The given mapping, completed: a column that it does not mention is not read. Raises `UnreadableFileError`."""
    unknown = [title for title in given if title not in titles]
    if unknown:
        raise UnreadableFileError(f"The mapping names the column “{unknown[0][:40]}”, which the file does not have.")
    if fault := fault_of_mapping(given, [attribute.name for attribute in attributes]):
        raise UnreadableFileError(fault)
    return {title: given.get(title) for title in titles}


def fault_of_mapping(given: Mapping[str, str | None], attribute_names: Sequence[str]) -> str | None:
    """What is wrong with a mapping, independent of the file; None: nothing."""
    targets = [target for target in given.values() if target is not None]
    for target in targets:
        name = target.removeprefix(ATTRIBUTE_PREFIX)
        if target not in FIELDS and not is_state_target(target) and (name == target or name not in attribute_names):
            return f"The mapping uses “{target[:80]}”, which is neither a field nor an existing attribute."
    seen: set[str] = set()
    for target in targets:
        # Several columns may say who left; each of them counts.
        if target in seen and not is_state_target(target):
            return f"The mapping gives “{target[:80]}” to more than one column."
        seen.add(target)
    # A mapping that says only who may not be written to is added to the guessed one.
    if "email" not in seen and (not seen or not all(map(is_state_target, seen))):
        return "The mapping gives no column `email`."
    return None


def detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter with which the first lines look most like a table of people."""

    def merit(delimiter: str) -> tuple[bool, float, int]:
        rows = split_lines(lines, delimiter)
        if not rows:
            return False, 0.0, 0
        people = rows[_find_titles(rows) or 0 :]
        width = len(people[0])
        first = [cell.strip(_BLANK) for cell in people[0][: COLUMNS_MAX + 1]]
        has_email = any(_TARGET_OF_TITLE.get(_plain(cell)) == "email" or _is_address(cell) for cell in first)
        alike = sum(len(row) == width for row in people) / len(people)
        return has_email, alike if width > 1 else 0.0, width

    return max(DELIMITERS, key=merit)


def titles_of_attributes(
    before: Sequence[str], attributes: Sequence[KnownAttribute], after: Sequence[str]
) -> list[str]:
    """Titles for the columns of attributes in an export, given the titles around them, such that an import
    recognises them: the name if that is unambiguous, else `attribute:<name>`.
    """
    names = [attribute.name for attribute in attributes]
    guessed = _guess(_distinct([*before, *names, *after]), attributes)
    return [
        name
        if guessed[name] == f"{ATTRIBUTE_PREFIX}{name}" and title_says(name) is None
        else f"{ATTRIBUTE_PREFIX}{name}"
        for name in names
    ]


def _guess(titles: Sequence[str], attributes: Sequence[KnownAttribute]) -> Mapping_:
    exact = {f"{ATTRIBUTE_PREFIX}{attribute.name}" for attribute in attributes}
    targets = dict(_TARGET_OF_TITLE)
    # Names are distinct, but a label may equal another attribute's name.
    known_as = [(attribute.name, attribute.name) for attribute in attributes]
    known_as += [(attribute.label, attribute.name) for attribute in attributes]
    for title, name in known_as:
        targets.setdefault(_plain(title), f"{ATTRIBUTE_PREFIX}{name}")
    mapping: Mapping_ = {}
    given: set[str] = set()
    for title in titles:
        target = title if title in exact else targets.get(_plain(title))
        if target in given:
            target = None
        mapping[title] = target
        if target is not None:
            given.add(target)
    if "name" in given:
        # The full name makes its parts unnecessary.
        mapping = {title: None if field in {"first_name", "last_name"} else field for title, field in mapping.items()}
    return mapping


def _plain(title: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", unicodedata.normalize("NFC", title).casefold())


def _distinct(titles: Sequence[str]) -> list[str]:
    """Titles that a mapping can refer to: none is blank, and none occurs twice."""
    seen: set[str] = set()
    again: dict[str, int] = {}
    distinct = []
    for number, raw in enumerate(titles, start=1):
        base = unicodedata.normalize("NFC", raw)[:TITLE_CHARS_MAX] or f"column_{number}"
        title = base
        while title in seen:
            again[base] = again.get(base, 1) + 1
            title = f"{base} ({again[base]})"
        seen.add(title)
        distinct.append(title)
    return distinct


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
