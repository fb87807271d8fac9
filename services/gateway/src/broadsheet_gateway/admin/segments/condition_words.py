"""What a condition of the form can look at, how it compares, and how each comparison is written in a filter. Pure.

The filter's language is the API's (`POST /api/v1/segments`); this is the part of it that rows of a form can show.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

AttributeType = Literal["text", "number", "boolean", "date"]
Entry = Literal[
    "none", "text", "lines", "number", "numbers", "two_numbers", "date", "dates", "two_dates", "days", "issue"
]
"""What is typed for a comparison. `lines`, `numbers` and `dates` are lists, one a line."""

ATTRIBUTE: Final = "attribute:"
"""Before an attribute's name, in the value of the list of what to look at."""


class Comparison(msgspec.Struct, frozen=True):
    """`key` names it in the form; `op` in the filter. `negated`: the leaf stands in a `not`. `members` are the leaf's
    others, where they are fixed.
    """

    key: str
    label: str
    op: str
    entry: Entry
    negated: bool = False
    members: Mapping[str, Any] = {}


def _fixed(key: str, label: str, op: str, **members: Any) -> Comparison:
    return Comparison(key, label, op, "none", members=members)


_TEXT: Final = (
    Comparison("eq", "is", "eq", "text"),
    Comparison("ne", "is not", "ne", "text"),
    Comparison("in", "is one of", "in", "lines"),
    Comparison("contains", "contains", "contains", "text"),
    Comparison("not_contains", "does not contain", "contains", "text", negated=True),
    Comparison("starts_with", "begins with", "starts_with", "text"),
)
_KNOWN: Final = (
    _fixed("is_set", "has a value", "is_set", value=True),
    _fixed("is_unset", "has no value", "is_set", value=False),
)
_MOMENT: Final = (
    Comparison("within_days", "in the last", "within_days", "days"),
    Comparison("not_within_days", "not in the last", "within_days", "days", negated=True),
    Comparison("since", "on or after", "since", "date"),
    Comparison("before", "before", "before", "date"),
)
_EVENT: Final = (
    Comparison("within_days", "in the last", "", "days"),
    Comparison("not_within_days", "not in the last", "", "days", negated=True),
    Comparison("issue", "of the issue", "", "issue"),
    Comparison("not_issue", "not of the issue", "", "issue", negated=True),
)
_OF_FIELD: Final[Mapping[str, tuple[Comparison, ...]]] = {
    "tag": (
        Comparison("has", "has", "has", "text"),
        Comparison("has_not", "does not have", "has", "text", negated=True),
        Comparison("has_any", "has any of", "has_any", "lines"),
        Comparison("has_all", "has all of", "has_all", "lines"),
    ),
    "name": _TEXT,
    "email": (
        Comparison("eq", "is", "eq", "text"),
        Comparison("not_eq", "is not", "eq", "text", negated=True),
        Comparison("in", "is one of", "in", "lines"),
        Comparison("domain", "is at the domain", "domain", "text"),
        Comparison("not_domain", "is not at the domain", "domain", "text", negated=True),
        Comparison("domain_in", "is at one of the domains", "domain", "lines"),
        Comparison("starts_with", "begins with", "starts_with", "text"),
    ),
    "created": _MOMENT,
    "confirmed": _MOMENT,
    "subscription": (
        _fixed("confirmed", "is confirmed", "", state="confirmed"),
        _fixed("pending", "waits for their confirmation", "", state="pending"),
        _fixed("unsubscribed", "was ended", "", state="unsubscribed"),
        _fixed("none", "never was", "", state="none"),
        Comparison("not_confirmed", "is not confirmed", "", "none", negated=True, members={"state": "confirmed"}),
    ),
    "received": _EVENT,
    "opened": _EVENT,
    "clicked": _EVENT,
}
_OF_ATTRIBUTE: Final[Mapping[AttributeType, tuple[Comparison, ...]]] = {
    "text": (*_TEXT, *_KNOWN),
    "number": (
        Comparison("eq", "is", "eq", "number"),
        Comparison("ne", "is not", "ne", "number"),
        Comparison("in", "is one of", "in", "numbers"),
        Comparison("lt", "is less than", "lt", "number"),
        Comparison("le", "is at most", "le", "number"),
        Comparison("gt", "is more than", "gt", "number"),
        Comparison("ge", "is at least", "ge", "number"),
        Comparison("between", "is between", "between", "two_numbers"),
        *_KNOWN,
    ),
    "boolean": (
        _fixed("yes", "is yes", "eq", value=True),
        _fixed("no", "is no", "eq", value=False),
        _fixed("not_yes", "is not yes", "ne", value=True),
        _fixed("not_no", "is not no", "ne", value=False),
        *_KNOWN,
    ),
    "date": (
        Comparison("eq", "is", "eq", "date"),
        Comparison("ne", "is not", "ne", "date"),
        Comparison("in", "is one of", "in", "dates"),
        Comparison("lt", "is before", "lt", "date"),
        Comparison("le", "is on or before", "le", "date"),
        Comparison("gt", "is after", "gt", "date"),
        Comparison("ge", "is on or after", "ge", "date"),
        Comparison("between", "is between", "between", "two_dates"),
        Comparison("within_days", "is in the last", "within_days", "days"),
        *_KNOWN,
    ),
}
EVENTS: Final = frozenset({"received", "opened", "clicked"})
OF_A_NEWSLETTER: Final = frozenset({"confirmed", "subscription"})

FIELD_WORDS: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    ("Person", (("tag", "Tag"), ("name", "Name"), ("email", "Address"), ("created", "First seen"))),
    ("Newsletter", (("subscription", "Subscription to"), ("confirmed", "Confirmed"))),
    ("Mails", (("received", "Was sent a mail"), ("opened", "Opened a mail"), ("clicked", "Followed a link"))),
)
"""The groups of the list of what to look at; attributes come after them."""


def comparisons_of(what: str, types: Mapping[str, AttributeType]) -> tuple[Comparison, ...]:
    """None for what there is not. `what` is a field, or an attribute's name after `attribute:`."""
    if what.startswith(ATTRIBUTE):
        type_ = types.get(what.removeprefix(ATTRIBUTE))
        return () if type_ is None else _OF_ATTRIBUTE[type_]
    return _OF_FIELD.get(what, ())


def comparison_of(what: str, key: str, types: Mapping[str, AttributeType]) -> Comparison | None:
    return next((one for one in comparisons_of(what, types) if one.key == key), None)
