"""A segment's filter, pure: a tree of `all`, `any` and `not` over leaves that each test one property of a
subscriber.

    {"all": [{"field": "tag", "op": "has", "value": "vip"},
             {"not": {"field": "engagement", "event": "opened", "within_days": 90}}]}

Every leaf is true or false, never unknown: when a subscriber has no value, only `ne` is true, so `not` is always
the exact complement. Names and texts are compared without regard to case, tags exactly, all in Unicode's normal
form C. Days are in UTC.
"""

from datetime import datetime
from typing import Literal

import msgspec

from broadsheet_subscriptions.subscribers.subscription import State

Event = Literal["received", "opened", "clicked"]
TextOp = Literal["eq", "ne", "in", "contains", "starts_with"]
OrderOp = Literal["eq", "ne", "in", "lt", "le", "gt", "ge", "between"]


class All(msgspec.Struct, frozen=True):
    """True for everybody if it is empty."""

    of: tuple["Node", ...]


class Any_(msgspec.Struct, frozen=True):  # noqa: N801  # `Any` is typing's
    """True for nobody if it is empty."""

    of: tuple["Node", ...]


class Not(msgspec.Struct, frozen=True):
    of: "Node"


class AttributeSet(msgspec.Struct, frozen=True):
    """Whether the subscriber has a value (if `wanted` is false: has none)."""

    name: str
    wanted: bool


class AttributeText(msgspec.Struct, frozen=True):
    name: str
    op: TextOp
    values: tuple[str, ...]


class AttributeNumber(msgspec.Struct, frozen=True):
    name: str
    op: OrderOp
    values: tuple[float, ...]


class AttributeDate(msgspec.Struct, frozen=True):
    """Values as `YYYY-MM-DD`, which sort as text in the order of time."""

    name: str
    op: OrderOp
    values: tuple[str, ...]


class AttributeRecent(msgspec.Struct, frozen=True):
    """The date is today or one of the `days` days before today."""

    name: str
    days: int


class AttributeBoolean(msgspec.Struct, frozen=True):
    name: str
    value: bool
    negated: bool


class Tags(msgspec.Struct, frozen=True):
    tags: tuple[str, ...]
    every: bool


class Name(msgspec.Struct, frozen=True):
    op: TextOp
    values: tuple[str, ...]


class Email(msgspec.Struct, frozen=True):
    """Values are address keys: `eq` compares the whole key, `domain` the part after the last @."""

    op: Literal["eq", "domain", "starts_with"]
    values: tuple[str, ...]


class Moment(msgspec.Struct, frozen=True):
    """When the subscriber was created or (with a newsletter) confirmed: before, since, or in the last days."""

    newsletter_id: int | None
    op: Literal["before", "since", "within_days"]
    at: datetime | None
    days: int


class Subscribed(msgspec.Struct, frozen=True):
    """`none`: the subscriber never had a subscription to it."""

    newsletter_id: int
    state: State | Literal["none"]


class HasSubscription(msgspec.Struct, frozen=True):
    """A subscription to the newsletter (None: any) in the state (None: any). Used only by the list of subscribers; a
    written filter cannot contain it.
    """

    newsletter_id: int | None
    state: State | None


class IssueEngagement(msgspec.Struct, frozen=True):
    event: Event
    issue_id: int


class RecentEngagement(msgspec.Struct, frozen=True):
    """The event happened today or on one of the `days` days before, for any issue."""

    event: Event
    days: int


Leaf = (
    AttributeSet
    | AttributeText
    | AttributeNumber
    | AttributeDate
    | AttributeRecent
    | AttributeBoolean
    | Tags
    | Name
    | Email
    | Moment
    | Subscribed
    | HasSubscription
    | IssueEngagement
    | RecentEngagement
)
Node = All | Any_ | Not | Leaf


def leaves_of(node: Node) -> list[Leaf]:
    match node:
        case All(of=parts) | Any_(of=parts):
            return [leaf for part in parts for leaf in leaves_of(part)]
        case Not(of=part):
            return leaves_of(part)
        case _:
            return [node]


def joins_of(node: Node) -> set[tuple[object, ...]]:
    """The other tables that the tree looks into, each once."""
    found: set[tuple[object, ...]] = set()
    for leaf in leaves_of(node):
        match leaf:
            case Subscribed(newsletter_id=newsletter_id) | Moment(newsletter_id=int(newsletter_id)):
                found.add(("newsletter", newsletter_id))
            case IssueEngagement() | RecentEngagement():
                found.add((type(leaf), leaf))
            case _:
                pass
    return found


def attributes_of(node: Node) -> frozenset[str]:
    return frozenset(
        leaf.name
        for leaf in leaves_of(node)
        if isinstance(
            leaf, AttributeSet | AttributeText | AttributeNumber | AttributeDate | AttributeRecent | AttributeBoolean
        )
    )
