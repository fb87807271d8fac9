"""Every comparison that the form of a segment offers is one that the API takes, and counts as the form means it."""

from typing import Final

import pytest

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_gateway.admin.segments.condition_words import (
    OF_A_NEWSLETTER,
    AttributeType,
    Comparison,
    comparisons_of,
)
from broadsheet_gateway.admin.segments.filter_rows import Condition, Group, build_filter, place_of
from broadsheet_subscriptions.segments.parse_filter import parse_filter

TYPES: Final[dict[str, AttributeType]] = {"city": "text", "visits": "number", "member": "boolean", "born": "date"}
WHATS: Final = (
    "tag", "name", "email", "created", "confirmed", "subscription", "received", "opened", "clicked",
    *(f"attribute:{name}" for name in TYPES),
)  # fmt: skip
ENTRIES: Final = {
    "none": "", "text": "word", "lines": "one\ntwo", "number": "2.5", "numbers": "1\n2.5", "two_numbers": "1",
    "date": "2026-01-31", "dates": "2026-01-31\n2026-02-01", "two_dates": "2026-01-31", "days": "30", "issue": "7",
}  # fmt: skip
EVERY: Final = [(what, chosen) for what in WHATS for chosen in comparisons_of(what, TYPES)]


def _row(what: str, chosen: Comparison) -> Condition:
    value = ENTRIES[chosen.entry]
    if what == "email":
        value = {"eq": "a@example.com", "in": "a@example.com\nb@example.com", "domain": "example.com"}.get(
            chosen.op, value
        )
        if chosen.key == "domain_in":
            value = "example.com\nexample.org"
    to = value if chosen.entry in {"two_numbers", "two_dates"} else ""
    return Condition(what, chosen.key, "3" if what in OF_A_NEWSLETTER else "", value, to)


@pytest.mark.parametrize(("what", "chosen"), EVERY, ids=[f"{what}-{chosen.key}" for what, chosen in EVERY])
def test_the_api_takes_the_comparison(what: str, chosen: Comparison) -> None:
    built = build_filter(Group("none", (_row(what, chosen),)), TYPES)
    assert built.faults == ()
    parse_filter(built.filter, TYPES)


@pytest.mark.parametrize(
    ("row", "control"),
    [
        (Condition("opened", "not_within_days", value="9999"), "value"),
        (Condition("tag", "has_any", value="fine\n" + "x" * 101), "value"),
        (Condition("email", "not_domain", value="no domain"), "value"),
        (Condition("created", "before", value="tomorrow"), "value"),
        (Condition("attribute:born", "eq", value="31.1.2026"), "value"),
    ],
)
def test_what_the_api_refuses_is_found_in_its_row(row: Condition, control: str) -> None:
    rows = Group("all", (Condition("tag", "has", value="vip"), Group("none", (row,))))
    built = build_filter(rows, TYPES)
    assert built.faults == ()
    with pytest.raises(InvalidInputError) as refused:
        parse_filter(built.filter, TYPES)
    [problem] = refused.value.errors
    assert place_of(problem.pointer, built.pointers) == ((1, 0), control)
