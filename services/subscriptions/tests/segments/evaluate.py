"""What a filter means, in plain Python: the measure of the SQL that it is compiled to."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from broadsheet_subscriptions.segments import filter as f


class Held(msgspec.Struct, frozen=True):
    state: str
    confirmed_at: datetime | None


class Person(msgspec.Struct, frozen=True):
    """`engaged` holds (event, issue, day)."""

    email_key: str
    name: str
    created_at: datetime
    attributes: dict[str, Any]
    tags: list[str]
    subscriptions: dict[int, Held]
    engaged: frozenset[tuple[str, int, date]]


def is_true(node: f.Node, person: Person, *, moment: datetime) -> bool:
    match node:
        case f.All(of=parts):
            return all(is_true(part, person, moment=moment) for part in parts)
        case f.Any_(of=parts):
            return any(is_true(part, person, moment=moment) for part in parts)
        case f.Not(of=part):
            return not is_true(part, person, moment=moment)
        case _:
            return _leaf(node, person, moment)


def _leaf(leaf: f.Leaf, person: Person, moment: datetime) -> bool:  # noqa: C901, PLR0911, PLR0912
    today = moment.astimezone(UTC).date()
    match leaf:
        case f.AttributeSet():
            return (leaf.name in person.attributes) == leaf.wanted
        case f.AttributeText():
            return _text(person.attributes.get(leaf.name), leaf.op, leaf.values)
        case f.AttributeNumber() | f.AttributeDate():
            return _ordered(person.attributes.get(leaf.name), leaf.op, leaf.values)
        case f.AttributeRecent():
            value = person.attributes.get(leaf.name)
            return value is not None and today - timedelta(days=leaf.days) <= date.fromisoformat(value) <= today
        case f.AttributeBoolean():
            return (person.attributes.get(leaf.name) is leaf.value) != leaf.negated
        case f.Tags():
            has = [tag in person.tags for tag in leaf.tags]
            return all(has) if leaf.every else any(has)
        case f.Name():
            return _text(person.name, leaf.op, leaf.values)
        case f.Email(op="eq"):
            return person.email_key in leaf.values
        case f.Email(op="domain"):
            return person.email_key.rpartition("@")[2] in leaf.values
        case f.Email():
            return person.email_key.startswith(leaf.values[0])
        case f.Moment():
            held = person.subscriptions.get(leaf.newsletter_id or 0)
            value = person.created_at if leaf.newsletter_id is None else held.confirmed_at if held else None
            if value is None:
                return False
            if leaf.op == "within_days":
                return bool(value >= moment - timedelta(days=leaf.days))
            assert leaf.at is not None
            return bool(value < leaf.at if leaf.op == "before" else value >= leaf.at)
        case f.Subscribed():
            held = person.subscriptions.get(leaf.newsletter_id)
            return (held.state if held else "none") == leaf.state
        case f.HasSubscription():
            return any(
                leaf.newsletter_id in {None, newsletter_id} and leaf.state in {None, held.state}
                for newsletter_id, held in person.subscriptions.items()
            )
        case f.IssueEngagement():
            return any((event, issue) == (leaf.event, leaf.issue_id) for event, issue, _ in person.engaged)
        case f.RecentEngagement():
            first = today - timedelta(days=leaf.days)
            return any(event == leaf.event and first <= day <= today for event, _, day in person.engaged)


def _text(value: str | None, op: str, values: tuple[str, ...]) -> bool:
    if value is None:
        return op == "ne"
    folded, wanted = value.lower(), [one.lower() for one in values]
    fits: dict[str, Callable[[], bool]] = {
        "eq": lambda: folded == wanted[0],
        "ne": lambda: folded != wanted[0],
        "in": lambda: folded in wanted,
        "contains": lambda: wanted[0] in folded,
        "starts_with": lambda: folded.startswith(wanted[0]),
    }
    return fits[op]()


def _ordered(value: Any, op: str, values: tuple[Any, ...]) -> bool:
    if value is None:
        return op == "ne"
    fits: dict[str, Callable[[], bool]] = {
        "eq": lambda: value == values[0],
        "ne": lambda: value != values[0],
        "in": lambda: value in values,
        "lt": lambda: value < values[0],
        "le": lambda: value <= values[0],
        "gt": lambda: value > values[0],
        "ge": lambda: value >= values[0],
        "between": lambda: values[0] <= value <= values[1],
    }
    return fits[op]()
