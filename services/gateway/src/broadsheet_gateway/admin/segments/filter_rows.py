"""A filter as rows of a form, and rows as a filter. Pure.

A filter that rows cannot show exactly is not shown as rows: `rows_of` builds the filter again from its rows, and
answers None unless it is the same. So saving the form never changes what its author did not touch.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from broadsheet_gateway.admin.segments.condition_words import (
    ATTRIBUTE,
    EVENTS,
    OF_A_NEWSLETTER,
    AttributeType,
    Comparison,
    comparison_of,
    comparisons_of,
)

Mode = Literal["all", "any", "none"]
Path = tuple[int, ...]
"""Of a row: its place in its group, after the places of the groups around it. The outermost group has ()."""
Control = Literal["what", "op", "of", "value", "to"]

CONDITIONS_MAX: Final = 40
GROUPS_MAX: Final = 15
DEPTH_MAX: Final = 3
"""Groups in each other, the outermost counted."""
_WHOLE_DIGITS_MAX: Final = 18
_FLOAT_CHARS_MAX: Final = 60
EXACT_INTEGER_MAX: Final = 2**53
"""Larger ones are not stored exactly, and the service refuses them."""


class Condition(msgspec.Struct, frozen=True):
    """What the controls of one row hold, as it was typed. `of` is a newsletter's id; `to` the upper end of a span."""

    what: str = ""
    op: str = ""
    of: str = ""
    value: str = ""
    to: str = ""


class Group(msgspec.Struct, frozen=True):
    """`none`: none of its parts is true."""

    mode: Mode = "all"
    parts: tuple["Condition | Group", ...] = ()


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and at which control of which row."""

    path: Path
    control: Control
    detail: str


class Built(msgspec.Struct, frozen=True):
    """`filter` is whole only without faults. `pointers`: the JSON Pointer of each row in it."""

    filter: dict[str, Any]
    pointers: Mapping[str, Path]
    faults: tuple[Fault, ...] = ()


def build_filter(group: Group, types: Mapping[str, AttributeType]) -> Built:
    builder = _Builder(types)
    tree = builder.group(group, (), "/filter")
    return Built(tree, builder.pointers, tuple(builder.faults))


def rows_of(tree: object, types: Mapping[str, AttributeType]) -> Group | None:
    """None: rows cannot show it exactly."""
    for candidate in (tree, {"all": [tree]}):
        try:
            group = _read_group(candidate, types, depth=1)
        except _NotRowsError:
            continue
        built = build_filter(group, types)
        if not built.faults and _same(built.filter, candidate) and fits(group):
            return group
    return None


def fits(group: Group) -> bool:
    """Whether it has no more parts than the form takes."""
    conditions, groups = count_parts(group)
    return conditions <= CONDITIONS_MAX and groups <= GROUPS_MAX


def count_parts(group: Group) -> tuple[int, int]:
    """Conditions and groups, the group itself counted."""
    conditions, groups = 0, 1
    for part in group.parts:
        if isinstance(part, Group):
            inner = count_parts(part)
            conditions, groups = conditions + inner[0], groups + inner[1]
        else:
            conditions += 1
    return conditions, groups


def names_issue(group: Group, types: Mapping[str, AttributeType]) -> bool:
    """Whether a condition is about one issue."""
    for part in group.parts:
        if isinstance(part, Group):
            if names_issue(part, types):
                return True
        elif (chosen := comparison_of(part.what, part.op, types)) is not None and chosen.entry == "issue":
            return True
    return False


def place_of(pointer: str, pointers: Mapping[str, Path]) -> tuple[Path, Control] | None:
    """The row and the control that a fault's pointer means; None: none of them."""
    begin = max((one for one in pointers if pointer == one or pointer.startswith(f"{one}/")), key=len, default=None)
    if begin is None:
        return None
    member = pointer.removeprefix(begin).removeprefix("/").partition("/")[0]
    control: Control = "what"
    match member:
        case "value" | "within_days" | "issue_id":
            control = "value"
        case "op" | "state" | "event":
            control = "op"
        case "newsletter_id":
            control = "of"
        case _:
            pass
    return pointers[begin], control


class _NotRowsError(Exception):
    """This part of a filter has no row."""


class _EntryError(Exception):
    """What was typed is none of what is asked for."""

    def __init__(self, detail: str, control: Control = "value") -> None:
        super().__init__(detail)
        self.detail = detail
        self.control: Control = control


class _Builder:
    def __init__(self, types: Mapping[str, AttributeType]) -> None:
        self.pointers: dict[str, Path] = {}
        self.faults: list[Fault] = []
        self._types = types

    def group(self, group: Group, path: Path, at: str) -> dict[str, Any]:
        self.pointers[at] = path
        inner, member = (f"{at}/not", "any") if group.mode == "none" else (at, group.mode)
        self.pointers[inner] = path
        parts = [
            self.group(part, (*path, number), f"{inner}/{member}/{number}")
            if isinstance(part, Group)
            else self.condition(part, (*path, number), f"{inner}/{member}/{number}")
            for number, part in enumerate(group.parts)
        ]
        return {"not": {"any": parts}} if group.mode == "none" else {member: parts}

    def condition(self, row: Condition, path: Path, at: str) -> dict[str, Any]:
        """The leaf; an empty object with a fault, where it has one."""
        self.pointers[at] = path
        if not comparisons_of(row.what, self._types):
            self.faults.append(Fault(path, "what", "Choose what to look at, or remove the condition."))
            return {}
        chosen = comparison_of(row.what, row.op, self._types)
        if chosen is None:
            self.faults.append(Fault(path, "op", "Choose how to compare."))
            return {}
        try:
            leaf = _leaf(row, chosen)
        except _EntryError as error:
            self.faults.append(Fault(path, error.control, error.detail))
            return {}
        if not chosen.negated:
            return leaf
        self.pointers[f"{at}/not"] = path
        return {"not": leaf}


def _leaf(row: Condition, chosen: Comparison) -> dict[str, Any]:
    leaf: dict[str, Any] = {}
    if row.what in EVENTS:
        leaf = {"field": "engagement", "event": row.what}
    elif row.what.startswith(ATTRIBUTE):
        leaf = {"field": "attribute", "name": row.what.removeprefix(ATTRIBUTE)}
    else:
        leaf = {"field": row.what}
    if row.what in OF_A_NEWSLETTER:
        leaf["newsletter_id"] = _whole(row.of, "Choose a newsletter.", "of")
    if chosen.op:
        leaf["op"] = chosen.op
    leaf |= chosen.members
    if chosen.entry == "issue":
        leaf["issue_id"] = _whole(row.value, "Choose an issue.")
    elif chosen.entry != "none":
        leaf["within_days" if row.what in EVENTS else "value"] = _typed(row, chosen)
    return leaf


def _typed(row: Condition, chosen: Comparison) -> object:
    match chosen.entry:
        case "text":
            if not row.value:
                raise _EntryError("Type something to compare with.")
            return row.value
        case "date":
            return _day(row.value)
        case "days":
            return _whole(row.value, "Type a whole number of days.")
        case "number":
            return _number(row.value)
        case "two_numbers":
            return [_number(row.value), _number(row.to, "to")]
        case "two_dates":
            return [_day(row.value), _day(row.to, "to")]
        case "lines" | "dates":
            return _lines(row.value)
        case "numbers":
            return [_number(line) for line in _lines(row.value)]
        case _:
            raise AssertionError(chosen.entry)


def _day(text: str, control: Control = "value") -> str:
    if not text:
        raise _EntryError("Choose a date.", control)
    return text


def _lines(text: str) -> list[str]:
    found = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    kept = [line for line in found if line]
    if not kept:
        raise _EntryError("Type at least one, each on a line of its own.")
    return kept


def _whole(text: str, otherwise: str, control: Control = "value") -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _WHOLE_DIGITS_MAX):
        raise _EntryError(otherwise, control)
    return int(digits)


def _number(text: str, control: Control = "value") -> int | float:
    written = text.strip()
    try:
        if len(written) > _FLOAT_CHARS_MAX or "_" in written or not written.isascii():
            raise ValueError(written)
        number = int(written) if written.lstrip("+-").isdigit() else float(written)
    except ValueError as error:
        raise _EntryError("Type a number, with a dot before its fraction.", control) from error
    if abs(number) > EXACT_INTEGER_MAX if isinstance(number, int) else not math.isfinite(number):
        raise _EntryError("The number is too large.", control)
    return number


def _read_group(tree: object, types: Mapping[str, AttributeType], *, depth: int) -> Group:
    if depth > DEPTH_MAX:
        raise _NotRowsError
    match tree:
        case {"all": list(parts)}:
            mode: Mode = "all"
        case {"any": list(parts)}:
            mode = "any"
        case {"not": {"any": list(parts)}}:
            mode = "none"
        case _:
            raise _NotRowsError
    return Group(mode, tuple(_read_part(part, types, depth=depth + 1) for part in parts))


def _read_part(tree: object, types: Mapping[str, AttributeType], *, depth: int) -> Condition | Group:
    negated = isinstance(tree, dict) and tree.keys() == {"not"}
    leaf = tree["not"] if isinstance(tree, dict) and negated else tree
    if isinstance(leaf, dict) and "field" in leaf:
        return _read_condition(leaf, types, negated=negated)
    return _read_group(tree, types, depth=depth)


def _read_condition(leaf: Mapping[str, Any], types: Mapping[str, AttributeType], *, negated: bool) -> Condition:
    what = leaf["field"]
    if what == "attribute":
        what = f"{ATTRIBUTE}{leaf.get('name')}"
    elif what == "engagement":
        what = leaf.get("event")
    if not isinstance(what, str):
        raise _NotRowsError
    for chosen in comparisons_of(what, types):
        if chosen.negated is negated:
            row = _fill(leaf, what, chosen)
            if row is not None:
                return row
    raise _NotRowsError


def _fill(leaf: Mapping[str, Any], what: str, chosen: Comparison) -> Condition | None:
    """The row of the leaf by this comparison; None: the leaf compares otherwise. The caller builds it again to see
    that nothing of it is lost.
    """
    if leaf.get("op", "") != chosen.op or any(leaf.get(name) is not value for name, value in _plain(chosen).items()):
        return None
    if leaf.get("state") != chosen.members.get("state"):
        return None
    of = _text_of(leaf.get("newsletter_id", "")) if what in OF_A_NEWSLETTER else ""
    value: object
    if chosen.entry == "none":
        return Condition(what, chosen.key, of)
    if chosen.entry == "issue":
        value = leaf.get("issue_id")
    elif what in EVENTS:
        value = leaf.get("within_days")
    else:
        value = leaf.get("value")
    match chosen.entry, value:
        case "two_numbers" | "two_dates", [lowest, highest]:
            return Condition(what, chosen.key, of, _text_of(lowest), _text_of(highest))
        case "lines" | "numbers" | "dates", list(values) if values:
            return Condition(what, chosen.key, of, "\n".join(_text_of(one) for one in values))
        case "text" | "number" | "date" | "days" | "issue", str() | int() | float():
            return Condition(what, chosen.key, of, _text_of(value))
        case _:
            return None


def _plain(chosen: Comparison) -> dict[str, bool]:
    return {name: value for name, value in chosen.members.items() if isinstance(value, bool)}


def _text_of(value: object) -> str:
    """As the control shows it. A control of one line cannot hold a line break."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _NotRowsError
    text = value if isinstance(value, str) else repr(value)
    if "\n" in text or "\r" in text:
        raise _NotRowsError
    return text


def _same(one: object, other: object) -> bool:
    """Also by the kind of each value: 1, 1.0 and true are three."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
