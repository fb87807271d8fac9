"""Parses a filter from JSON into its tree. Every fault is reported with its JSON Pointer. Pure."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, TypeVar, assert_never

import msgspec

from broadsheet_common.http.allowed_values import explain
from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.http.record_id import RecordId
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import (
    TEXT_CHARS_MAX,
    AttributeType,
    AttributeValue,
    parse_tag,
    read_value,
)
from broadsheet_subscriptions.segments.filter import (
    All,
    Any_,
    AttributeBoolean,
    AttributeDate,
    AttributeNumber,
    AttributeRecent,
    AttributeSet,
    AttributeText,
    Email,
    Event,
    IssueEngagement,
    Leaf,
    Moment,
    Name,
    Node,
    Not,
    RecentEngagement,
    Subscribed,
    Tags,
    TextOp,
    joins_of,
)

DEPTH_MAX = 10
NODES_MAX = 100
VALUES_MAX = 1_000
"""Per list of values."""
JOINS_MAX = 10
"""How many newsletters and kinds of engagement a tree may look into: each adds a table to the query."""
DAYS_MAX = 36_500
ENGAGEMENT_DAYS_MAX = 365
"""Engagement by day is kept only a little longer than this."""

_OPS: Final[Mapping[AttributeType, frozenset[str]]] = {
    "text": frozenset({"eq", "ne", "in", "contains", "starts_with", "is_set"}),
    "number": frozenset({"eq", "ne", "in", "lt", "le", "gt", "ge", "between", "is_set"}),
    "boolean": frozenset({"eq", "ne", "is_set"}),
    "date": frozenset({"eq", "ne", "in", "lt", "le", "gt", "ge", "between", "within_days", "is_set"}),
}
_BETWEEN = 2


class _AttributeLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="attribute"):
    name: str
    op: str
    value: Any = True


class _TagLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="tag"):
    op: Literal["has", "has_any", "has_all"]
    value: str | list[str]


class _NameLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="name"):
    op: TextOp
    value: str | list[str]


class _EmailLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="email"):
    op: Literal["eq", "in", "domain", "starts_with"]
    value: str | list[str]


class _CreatedLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="created"):
    op: Literal["before", "since", "within_days"]
    value: str | int


class _ConfirmedLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="confirmed"):
    newsletter_id: RecordId
    op: Literal["before", "since", "within_days"]
    value: str | int


class _SubscriptionLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="subscription"):
    newsletter_id: RecordId
    state: Literal["pending", "confirmed", "unsubscribed", "none"]


class _EngagementLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="field", tag="engagement"):
    event: Event
    issue_id: RecordId | None = None
    within_days: int | None = None


_WrittenLeaf = (
    _AttributeLeaf
    | _TagLeaf
    | _NameLeaf
    | _EmailLeaf
    | _CreatedLeaf
    | _ConfirmedLeaf
    | _SubscriptionLeaf
    | _EngagementLeaf
)


class _LeafError(Exception):
    """A fault of one leaf, and the member in which it is."""

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = FieldProblem(pointer=member, detail=detail)


def parse_filter(raw: object, types: Mapping[str, AttributeType], *, at: str = "/filter") -> Node:
    """Raises `InvalidInputError` that names every fault by its JSON Pointer, which begins with `at`."""
    parser = _Parser(types)
    node = parser.node(raw, at, depth=1)
    if node is not None and not parser.problems and len(joins_of(node)) > JOINS_MAX:
        parser.problems.append(
            FieldProblem(
                pointer=at,
                detail=f"A filter may look into at most {JOINS_MAX} different newsletters, issues and spans of days.",
            )
        )
    if node is None or parser.problems:
        raise InvalidInputError(errors=tuple(parser.problems))
    return node


class _Parser:
    """DEPTH_MAX and NODES_MAX bound the recursion and what the parser collects."""

    def __init__(self, types: Mapping[str, AttributeType]) -> None:
        self.problems: list[FieldProblem] = []
        self._types = types
        self._nodes = 0

    def node(self, raw: object, at: str, *, depth: int) -> Node | None:
        """None: something in it is wrong, and was added to the problems."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            if self._nodes == NODES_MAX + 1:
                self._fault(at, f"A filter may have at most {NODES_MAX} parts.")
            return None
        if depth > DEPTH_MAX:
            self._fault(at, f"A filter may be at most {DEPTH_MAX} levels deep.")
            return None
        match raw:
            case {"all": parts, **rest} if not rest:
                children = self._children(parts, f"{at}/all", depth)
                return None if children is None else All(children)
            case {"any": parts, **rest} if not rest:
                children = self._children(parts, f"{at}/any", depth)
                return None if children is None else Any_(children)
            case {"not": part, **rest} if not rest:
                child = self.node(part, f"{at}/not", depth=depth + 1)
                return None if child is None else Not(child)
            case {"field": _}:
                return self._leaf(raw, at)
            case _:
                self._fault(at, "An object with `all`, `any` or `not` alone is expected, or one with a `field`.")
                return None

    def _children(self, raw: object, at: str, depth: int) -> tuple[Node, ...] | None:
        if not isinstance(raw, list) or len(raw) > NODES_MAX:
            self._fault(at, f"A list of at most {NODES_MAX} parts is expected.")
            return None
        found = [self.node(part, f"{at}/{position}", depth=depth + 1) for position, part in enumerate(raw)]
        whole = tuple(child for child in found if child is not None)
        return whole if len(whole) == len(found) else None

    def _leaf(self, raw: object, at: str) -> Leaf | None:
        try:
            written: _WrittenLeaf = msgspec.convert(raw, _WrittenLeaf)
        except msgspec.ValidationError as error:
            self._fault(at, _sentence(explain(error, _WrittenLeaf)))
            return None
        try:
            return _read_leaf(written, self._types)
        except _LeafError as error:
            self._fault(f"{at}{error.problem.pointer}", error.problem.detail)
            return None

    def _fault(self, at: str, detail: str) -> None:
        self.problems.append(FieldProblem(pointer=at, detail=detail))


def _sentence(message: str) -> str:
    """The message of msgspec, made storable. It quotes names of members, which may hold anything, but never values."""
    return message.encode("utf-8", "replace").decode()[:500]


def _read_leaf(written: _WrittenLeaf, types: Mapping[str, AttributeType]) -> Leaf:
    match written:
        case _AttributeLeaf():
            return _read_attribute(written, types)
        case _TagLeaf():
            return _read_tags(written)
        case _NameLeaf():
            return _read_name(written)
        case _EmailLeaf():
            return _read_email(written)
        case _CreatedLeaf(op=op):
            return _moment(None, op, written.value)
        case _ConfirmedLeaf(op=op):
            return _moment(written.newsletter_id, op, written.value)
        case _SubscriptionLeaf():
            return Subscribed(written.newsletter_id, written.state)
        case _EngagementLeaf():
            return _read_engagement(written)
        case _:
            assert_never(written)


def _read_attribute(written: _AttributeLeaf, types: Mapping[str, AttributeType]) -> Leaf:
    name, op, value = written.name, written.op, written.value
    type_ = types.get(name)
    if type_ is None:
        raise _LeafError("/name", "There is no such attribute.")
    if op not in _OPS[type_]:
        raise _LeafError("/op", f"For an attribute of type {type_} there are: {', '.join(sorted(_OPS[type_]))}.")
    if op == "is_set":
        if not isinstance(value, bool):
            raise _LeafError("/value", "true or false is expected.")
        return AttributeSet(name, value)
    if op == "within_days":
        return AttributeRecent(name, _days(value, DAYS_MAX))
    values = _attribute_values(type_, op, value)
    match type_:
        case "text":
            return AttributeText(name, op, tuple(map(str, values)))  # type: ignore[arg-type]  # one of _OPS
        case "number":
            return AttributeNumber(name, op, tuple(v for v in values if not isinstance(v, str)))  # type: ignore[arg-type]
        case "boolean":
            return AttributeBoolean(name, value is True, op == "ne")
        case "date":
            return AttributeDate(name, op, tuple(map(str, values)))  # type: ignore[arg-type]  # one of _OPS
        case _:
            assert_never(type_)


def _attribute_values(type_: AttributeType, op: str, value: object) -> list[AttributeValue]:
    if op in {"in", "between"}:
        if not isinstance(value, list) or len(value) > VALUES_MAX:
            raise _LeafError("/value", f"A list of at most {VALUES_MAX} values is expected.")
        if op == "between" and len(value) != _BETWEEN:
            raise _LeafError("/value", "The lowest and the highest value are expected, in a list of two.")
        values: Sequence[object] = value
        pointer = "/value/{}"
    else:
        values, pointer = [value], "/value"
    found = []
    for position, one in enumerate(values):
        try:
            found.append(read_value(type_, one))
        except ValueError as error:
            raise _LeafError(pointer.format(position), str(error)) from error
    return found


def _read_tags(written: _TagLeaf) -> Tags:
    if (written.op == "has") != isinstance(written.value, str):
        raise _LeafError("/value", "`has` takes one tag; `has_any` and `has_all` take a list.")
    return Tags(_texts(written.value, parse_tag), every=written.op == "has_all")


def _read_name(written: _NameLeaf) -> Name:
    if (written.op == "in") != isinstance(written.value, list):
        raise _LeafError("/value", "`in` takes a list; every other `op` takes a text.")
    return Name(written.op, _texts(written.value, _text))


def _read_email(written: _EmailLeaf) -> Email:
    op = written.op
    if op == "in" and isinstance(written.value, str):
        raise _LeafError("/value", "`in` takes a list.")
    if op in {"eq", "starts_with"} and not isinstance(written.value, str):
        raise _LeafError("/value", f"`{op}` takes a text.")
    match op:
        case "eq" | "in":
            return Email("eq", _texts(written.value, lambda text: EmailAddress.parse(text).key))
        case "domain":
            return Email("domain", _texts(written.value, _domain))
        case "starts_with":
            return Email("starts_with", _texts(written.value, lambda text: _text(text).lower()))
        case _:
            assert_never(op)


def _read_engagement(written: _EngagementLeaf) -> IssueEngagement | RecentEngagement:
    if written.issue_id is not None and written.within_days is None:
        return IssueEngagement(written.event, written.issue_id)
    if written.within_days is not None and written.issue_id is None:
        return RecentEngagement(written.event, _days(written.within_days, ENGAGEMENT_DAYS_MAX, at="/within_days"))
    raise _LeafError("", "Either `issue_id` or `within_days` is expected.")


def _moment(newsletter_id: int | None, op: Literal["before", "since", "within_days"], value: str | int) -> Moment:
    if op == "within_days":
        return Moment(newsletter_id, op, None, _days(value, DAYS_MAX))
    if not isinstance(value, str):
        raise _LeafError("/value", "A moment (RFC 3339) or a date is expected.")
    return Moment(newsletter_id, op, _instant(value), 0)


def _instant(text: str) -> datetime:
    """A moment with its offset; for a date, the start of that day in UTC."""
    try:
        if "T" in text:
            moment = msgspec.convert(text, datetime, strict=True)
            if moment.tzinfo is None:
                raise ValueError("no offset")
            return moment.astimezone(UTC)
        day = date.fromisoformat(text)
    except (ValueError, OverflowError, msgspec.ValidationError) as error:
        raise _LeafError("/value", "A moment (RFC 3339) or a date (YYYY-MM-DD) is expected.") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _days(value: object, most: int, *, at: str = "/value") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _LeafError(at, f"A whole number of days, 1 to {most}, is expected.")
    return value


_ParsedT = TypeVar("_ParsedT", bound=str)


def _texts(value: str | list[str], parse: Callable[[str], _ParsedT]) -> tuple[_ParsedT, ...]:
    texts = [value] if isinstance(value, str) else value
    if len(texts) > VALUES_MAX:
        raise _LeafError("/value", f"A list of at most {VALUES_MAX} values is expected.")
    found = []
    for position, text in enumerate(texts):
        try:
            found.append(parse(text))
        except ValueError as error:
            raise _LeafError("/value" if isinstance(value, str) else f"/value/{position}", str(error)) from error
    return tuple(found)


def _text(value: str) -> str:
    text = unicodedata.normalize("NFC", value)
    if len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"A text may be at most {TEXT_CHARS_MAX} characters long.")
    if not is_storable(text):
        raise ValueError("A text may not hold a NUL character or an unpaired surrogate.")
    return text


def _domain(value: str) -> str:
    """The domain as it is written in keys of addresses."""
    try:
        return EmailAddress.parse(f"a@{value}").key.rpartition("@")[2]
    except ValueError as error:
        raise ValueError("A domain is expected.") from error
