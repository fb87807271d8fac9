"""A filter as rows and back, and the rows as fields of a form."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import MalformedRequestError
from broadsheet_gateway.admin.segments.asked import Known, KnownAttribute
from broadsheet_gateway.admin.segments.condition_words import AttributeType, comparisons_of
from broadsheet_gateway.admin.segments.filter_form import FIELDS_MAX, press, read_button, read_rows
from broadsheet_gateway.admin.segments.filter_rows import (
    CONDITIONS_MAX,
    GROUPS_MAX,
    Condition,
    Group,
    Path,
    build_filter,
    count_parts,
    place_of,
    rows_of,
)
from broadsheet_gateway.admin.segments.show_rows import show_group
from broadsheet_gateway.admin.segments.views import ConditionRow

TYPES: dict[str, AttributeType] = {"city": "text", "visits": "number", "member": "boolean", "born": "date"}
WHATS = (
    "tag", "name", "email", "created", "confirmed", "subscription", "received", "opened", "clicked",
    "attribute:city", "attribute:visits", "attribute:member", "attribute:born",
)  # fmt: skip


def leaf(field: str = "tag", op: str = "has", value: object = "vip", **members: object) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value, **members}


def same(one: object, other: object) -> bool:
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    lambda text: text == text.strip()
)
_DATES = st.dates().map(str)
_NUMBERS = (st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)).map(repr)


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    what = draw(st.sampled_from(WHATS))
    chosen = draw(st.sampled_from(comparisons_of(what, TYPES)))
    of = str(draw(st.integers(1, 99))) if what in {"confirmed", "subscription"} else ""
    whole = st.integers(1, 999).map(str)
    values: dict[str, st.SearchStrategy[str]] = {
        "none": st.just(""), "text": _LINE, "number": _NUMBERS, "two_numbers": _NUMBERS, "date": _DATES,
        "two_dates": _DATES, "days": whole, "issue": whole,
        "lines": st.lists(_LINE, min_size=1, max_size=3).map("\n".join),
        "numbers": st.lists(_NUMBERS, min_size=1, max_size=3).map("\n".join),
        "dates": st.lists(_DATES, min_size=1, max_size=3).map("\n".join),
    }  # fmt: skip
    value = draw(values[chosen.entry])
    to = draw(values[chosen.entry]) if chosen.entry in {"two_numbers", "two_dates"} else ""
    return Condition(what, chosen.key, of, value, to)


def _groups(depth: int) -> st.SearchStrategy[Group]:
    part: st.SearchStrategy[Condition | Group] = _conditions()
    if depth > 1:
        part = part | _groups(depth - 1)
    return st.builds(Group, st.sampled_from(["all", "any", "none"]), st.lists(part, max_size=3).map(tuple))


@given(_groups(3))
def test_rows_make_a_filter_that_makes_the_same_rows(group: Group) -> None:
    built = build_filter(group, TYPES)
    assert built.faults == ()
    again = rows_of(built.filter, TYPES)
    assert again is not None
    assert same(build_filter(again, TYPES).filter, built.filter)


_LEAVES = st.sampled_from([
    leaf(), leaf(op="has_any", value=["a", "b"]), leaf(op="has_any", value=[]), leaf(op="has_any", value=[" a"]),
    leaf("name", "ne", "Ada"), leaf("name", "contains", "a\nb"), leaf("name", "eq", ""),
    leaf("email", "domain", ["example.com", "example.org"]), leaf("created", "within_days", 30),
    leaf("created", "within_days", True), leaf("created", "since", "2026-01-01T00:00:00+01:00"),
    {"field": "attribute", "name": "visits", "op": "eq", "value": 1},
    {"field": "attribute", "name": "visits", "op": "eq", "value": 1.0},
    {"field": "attribute", "name": "visits", "op": "eq", "value": True},
    {"field": "attribute", "name": "visits", "op": "between", "value": [1, 2.5]},
    {"field": "attribute", "name": "visits", "op": "between", "value": [1, 2, 3]},
    {"field": "attribute", "name": "member", "op": "is_set"},
    {"field": "attribute", "name": "member", "op": "ne", "value": False},
    {"field": "attribute", "name": "gone", "op": "eq", "value": "x"},
    {"field": "subscription", "newsletter_id": 3, "state": "none"},
    {"field": "engagement", "event": "opened", "within_days": 90},
    {"field": "engagement", "event": "opened", "issue_id": 7, "within_days": 90},
    {"field": "nothing"}, {"field": 3}, {"field": "tag", "op": "has", "value": "vip", "more": 1}, {}, "text", None,
])  # fmt: skip
_TREES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: {"all": parts})
        | st.lists(inner, max_size=3).map(lambda parts: {"any": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=8,
)


@given(_TREES)
def test_a_filter_is_shown_as_rows_only_where_saving_them_keeps_it(tree: Any) -> None:
    rows = rows_of(tree, TYPES)
    if rows is not None:
        built = build_filter(rows, TYPES)
        assert built.faults == ()
        # A condition that stands alone is put into a group of its own, which says the same.
        assert same(built.filter, tree) or same(built.filter, {"all": [tree]})


@pytest.mark.parametrize(
    "tree",
    [
        {"all": []},
        leaf(),
        {"not": leaf()},
        {"any": [leaf(), {"not": leaf()}]},
        {"not": {"any": [leaf("name", "starts_with", "A")]}},
        {"all": [{"any": [{"not": {"any": [leaf()]}}]}]},
        {"all": [{"field": "attribute", "name": "visits", "op": "eq", "value": 1.0}]},
        {"all": [{"field": "attribute", "name": "member", "op": "is_set", "value": False}]},
        {"all": [{"field": "confirmed", "newsletter_id": 3, "op": "before", "value": "2026-01-01T00:00:00Z"}]},
        {"all": [{"not": {"field": "engagement", "event": "clicked", "issue_id": 7}}]},
    ],
)
def test_what_rows_can_show_they_show(tree: Any) -> None:
    assert rows_of(tree, TYPES) is not None


@pytest.mark.parametrize(
    "tree",
    [
        {"not": {"all": [leaf()]}},
        {"not": {"not": leaf()}},
        {"all": [{"all": [{"all": [{"all": [leaf()]}]}]}]},
        {"all": [leaf("name", "eq", "two\nlines")]},
        {"all": [leaf(op="has_any", value=["with blank "])]},
        {"all": [{"field": "attribute", "name": "member", "op": "is_set"}]},
        {"all": [{"field": "attribute", "name": "gone", "op": "is_set", "value": True}]},
        {"all": [leaf()] * (CONDITIONS_MAX + 1)},
        {"all": [{"all": []}] * GROUPS_MAX},
        {"all": [leaf()], "more": 1},
        [],
    ],
)
def test_what_rows_cannot_show_exactly_they_do_not_show(tree: Any) -> None:
    assert rows_of(tree, TYPES) is None


def _fields(group: Group, path: Path = ()) -> dict[str, str]:
    """As the page's controls send them."""
    at = "".join(f"-{place}" for place in path)
    fields: dict[str, str] = {f"mode_r{at}": group.mode}
    for place, part in enumerate(group.parts):
        if isinstance(part, Group):
            fields |= _fields(part, (*path, place))
        else:
            fields |= {f"{name}_r{at}-{place}": text for name, text in msgspec.structs.asdict(part).items()}
    return fields


@given(_groups(3))
def test_the_fields_of_the_form_say_the_same_rows(group: Group) -> None:
    assert read_rows(_fields(group)) == group
    assert read_rows(dict(reversed(_fields(group).items()))) == group


def test_the_largest_form_has_no_more_fields_than_are_read() -> None:
    rows = (Condition(),) * CONDITIONS_MAX
    whole = Group("all", (*rows, *(Group(),) * (GROUPS_MAX - 1)))
    assert len(_fields(whole)) + len(("csrf_token", "name", "version", "idempotency_key", "do")) <= FIELDS_MAX
    assert read_rows(_fields(whole)) == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"what_r-0": "tag"},
        {"mode_r": "all", "what_r-0-1": "tag"},
        {"mode_r": "all", "what_r-0": "tag", "what_r-0-1": "tag"},
        {"mode_r": "all", "mode_r-0": "all", "mode_r-0-0": "all", "mode_r-0-0-0": "all", "what_r-0-0-0-0": "tag"},
        {"mode_r": "all", **{f"what_r-{place}": "tag" for place in range(CONDITIONS_MAX + 1)}},
    ],
)
def test_fields_that_no_form_sends_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(MalformedRequestError):
        read_rows(fields)


def test_gaps_between_the_rows_are_closed() -> None:
    assert read_rows({"mode_r": "any", "what_r-7": "name", "what_r-2": "tag"}) == Group(
        "any", (Condition("tag"), Condition("name"))
    )


ROWS = Group("all", (Condition("tag"), Group("any", (Condition("name"), Group("none")))))


@pytest.mark.parametrize(
    ("button", "expected", "new"),
    [
        ("add:r", Group("all", (*ROWS.parts, Condition())), (2,)),
        ("remove:r-0", Group("all", ROWS.parts[1:]), None),
        ("remove:r-1-0", Group("all", (Condition("tag"), Group("any", (Group("none"),)))), None),
        ("remove:r-1", Group("all", (Condition("tag"),)), None),
        (
            "add:r-1-1",
            Group("all", (Condition("tag"), Group("any", (Condition("name"), Group("none", (Condition(),)))))),
            (1, 1, 0),
        ),
        ("group:r", Group("all", (*ROWS.parts, Group("any", (Condition(),)))), (2, 0)),
        ("group:r-1-1", ROWS, None),  # as deep as groups go
        ("add:r-0", ROWS, None),
        ("add:r-9", ROWS, None),
        ("remove:r", ROWS, None),
        ("remove:r-9-1", ROWS, None),
    ],
)
def test_buttons_change_the_rows(button: str, expected: Group, new: Path | None) -> None:
    read = read_button(button)
    assert read is not None
    assert press(ROWS, read) == (expected, new)


@pytest.mark.parametrize("text", ["", "save", "add", "add:", "add:r-", "add:r-x", "remove:r-1234", "add:r-1 "])
def test_what_is_no_button_is_none(text: str) -> None:
    assert read_button(text) is None


def test_a_full_form_takes_no_more() -> None:
    full = Group("all", (Condition("tag"),) * CONDITIONS_MAX)
    for text in ("add:r", "group:r"):
        button = read_button(text)
        assert button is not None
        assert press(full, button) == (full, None)
    assert count_parts(full) == (CONDITIONS_MAX, 1)


@pytest.mark.parametrize(
    ("row", "control"),
    [
        (Condition(), "what"),
        (Condition("attribute:gone", "eq", value="x"), "what"),
        (Condition("tag", "within_days", value="3"), "op"),
        (Condition("tag", "has"), "value"),
        (Condition("tag", "has_any", value=" \r\n "), "value"),
        (Condition("opened", "within_days", value="-3"), "value"),
        (Condition("opened", "within_days", value="٣"), "value"),
        (Condition("opened", "issue"), "value"),
        (Condition("subscription", "confirmed"), "of"),
        (Condition("attribute:visits", "eq", value="1,5"), "value"),
        (Condition("attribute:visits", "eq", value="nan"), "value"),
        (Condition("attribute:visits", "eq", value="1e999"), "value"),
        (Condition("attribute:visits", "eq", value="9" * 30), "value"),
        (Condition("subscription", "confirmed", of="9" * 30), "of"),
        (Condition("attribute:visits", "between", value="1", to="many"), "to"),
        (Condition("attribute:born", "between", value="2026-01-01"), "to"),
    ],
)
def test_a_fault_is_at_its_control(row: Condition, control: str) -> None:
    [fault] = build_filter(Group("all", (Condition("tag", "has", value="x"), row)), TYPES).faults
    assert (fault.path, fault.control) == ((1,), control)
    assert fault.detail.endswith(".")


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/filter/all/0/value", ((0,), "value")),
        ("/filter/all/0/value/3", ((0,), "value")),
        ("/filter/all/1/any/0/not/op", ((1, 0), "op")),
        ("/filter/all/1/any/1/not/any/0/newsletter_id", ((1, 1, 0), "of")),
        ("/filter/all/1/any/1/not/any", ((1, 1), "what")),
        ("/filter/all/1/any/2/within_days", ((1, 2), "value")),
        ("/filter", ((), "what")),
        ("/name", None),
        ("/filters/all/0", None),
    ],
)
def test_a_pointer_of_the_api_finds_its_row(pointer: str, place: object) -> None:
    rows = Group(
        "all",
        (
            Condition("tag", "has", value="x"),
            Group(
                "any",
                (
                    Condition("tag", "has_not", value="x"),
                    Group("none", (Condition("subscription", "confirmed", of="3"),)),
                    Condition("opened", "within_days", value="9"),
                ),
            ),
        ),
    )
    assert place_of(pointer, build_filter(rows, TYPES).pointers) == place


@pytest.mark.parametrize(
    ("row", "value", "to"),
    [
        (Condition("created", "before", value="2026-01-01T12:00:00Z"), "1 January 2026, 12:00 UTC", ""),
        (Condition("attribute:born", "in", value="1960-01-01\n1961-02-03"), "1 January 1960, 3 February 1961", ""),
        (
            Condition("attribute:born", "between", value="1960-01-01", to="1969-12-31"),
            "1 January 1960",
            "31 December 1969",
        ),
        (Condition("tag", "has", value="2026-01-01"), "2026-01-01", ""),
    ],
)
def test_dates_of_conditions_are_written_out_for_readers(row: Condition, value: str, to: str) -> None:
    shown = show_group(Group("all", (row,)), Known((KnownAttribute("born", "date", "Birthday"),), (), ())).parts[0]
    assert isinstance(shown, ConditionRow)
    assert (shown.value_text, shown.to_text) == (value, to)
