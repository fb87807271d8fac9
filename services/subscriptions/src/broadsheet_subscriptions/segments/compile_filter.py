"""A filter as SQL, pure: expressions over allow-listed columns, every value a bound parameter.

Each table of subscriptions and engagement is joined at most once, on its key, so that a subscriber is one row
whatever number of leaves use it. A page, a count and a frozen audience are then one scan.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, assert_never

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from broadsheet_subscriptions.segments import filter as f
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.tables import subscriber, subscription
from broadsheet_subscriptions.tables.lists import bit_of, block_of, daily_engagement, issue_engagement

Condition = sa.ColumnElement[bool]
_Column = sa.ColumnElement[Any]
_NUMBER = sa.literal("number")
_Order = Literal["eq", "ne", "lt", "le", "gt", "ge", "between"]


class CompiledFilter:
    """`source` has one row per subscriber, with the joined columns that `condition` needs."""

    def __init__(self, source: sa.FromClause, condition: Condition) -> None:
        self.source = source
        self.condition = condition


def compile_filter(node: f.Node, *, moment: datetime, source: sa.FromClause = subscriber) -> CompiledFilter:
    """Relative days are counted from `moment`, which has an offset; `source` must contain `subscriber`."""
    compiler = _Compiler(moment, source)
    condition = compiler.condition(node)
    return CompiledFilter(compiler.source, condition)


class _Compiler:
    def __init__(self, moment: datetime, source: sa.FromClause) -> None:
        self.source = source
        self._moment = moment
        self._subscriptions: dict[int, sa.FromClause] = {}
        self._engagement: dict[f.IssueEngagement | f.RecentEngagement, sa.FromClause] = {}

    @property
    def _today(self) -> date:
        return self._moment.date()

    def condition(self, node: f.Node) -> Condition:
        match node:
            case f.All(of=parts):
                return sa.and_(sa.true(), *map(self.condition, parts))
            case f.Any_(of=parts):
                return sa.or_(sa.false(), *map(self.condition, parts))
            case f.Not(of=part):
                return sa.not_(self.condition(part))
            case _:
                return self._leaf(node)

    def _leaf(self, leaf: f.Leaf) -> Condition:
        match leaf:
            case (
                f.AttributeSet()
                | f.AttributeText()
                | f.AttributeNumber()
                | f.AttributeDate()
                | f.AttributeRecent()
                | f.AttributeBoolean()
            ):
                return self._attribute(leaf)
            case f.Tags(tags=tags, every=every):
                wanted = sa.literal(list(tags), pg.ARRAY(sa.Text))
                return subscriber.c.tags.contains(wanted) if every else subscriber.c.tags.overlap(wanted)
            case f.Name(op=op, values=values):
                return _text(subscriber.c.name, op, values)
            case f.Email(op=op, values=values):
                return _email(op, values)
            case f.Moment():
                return self._moment_leaf(leaf)
            case f.Subscribed(newsletter_id=newsletter_id, state=state):
                joined = self._subscription(newsletter_id)
                if state == "none":
                    return joined.c.id.is_(None)
                return _known(joined.c.state == sa.literal(state, sa.Text))
            case f.HasSubscription(newsletter_id=on, state=in_state):
                return _has_subscription(on, in_state)
            case f.IssueEngagement() | f.RecentEngagement():
                joined = self._engaged(leaf)
                return _known(sa.func.get_bit(joined.c.members, bit_of(subscriber.c.id)) == sa.literal(1, sa.Integer))
            case _:
                assert_never(leaf)

    def _attribute(
        self,
        leaf: f.AttributeSet
        | f.AttributeText
        | f.AttributeNumber
        | f.AttributeDate
        | f.AttributeRecent
        | f.AttributeBoolean,
    ) -> Condition:
        name = sa.literal(leaf.name, sa.Text)
        as_text = subscriber.c.attributes.op("->>", return_type=sa.Text())(name)
        as_json = subscriber.c.attributes.op("->", return_type=pg.JSONB())(name)
        match leaf:
            case f.AttributeSet(wanted=wanted):
                has = sa.func.jsonb_exists(subscriber.c.attributes, name, type_=sa.Boolean)
                return has if wanted else sa.not_(has)
            case f.AttributeText(op=op, values=values):
                return _text(as_text, op, values)
            case f.AttributeNumber(op=op, values=numbers):
                # Compared as JSON, whose numbers are exact decimals. A cast could fail on a value that is not a number.
                is_number = _known(sa.func.jsonb_typeof(as_json) == _NUMBER)
                ordered_by = [_json(number) for number in numbers]
                compared = _one_of(as_json, _json_list(numbers)) if op == "in" else _ordered(as_json, op, ordered_by)
                return sa.or_(sa.not_(is_number), compared) if op == "ne" else sa.and_(is_number, compared)
            case f.AttributeDate(op=op, values=days):
                if op == "in":
                    return _one_of(as_text, sa.literal(list(days), pg.ARRAY(sa.Text)))
                return _ordered(sa.collate(as_text, "C"), op, [sa.literal(day, sa.Text) for day in days])
            case f.AttributeRecent(days=count):
                span = [(self._today - timedelta(days=min(count, (self._today - date.min).days))), self._today]
                bounds = [sa.literal(day.isoformat(), sa.Text) for day in span]
                return _ordered(sa.collate(as_text, "C"), "between", bounds)
            case f.AttributeBoolean(value=value, negated=negated):
                equal = _known(as_json == _json(value))
                return sa.not_(equal) if negated else equal
            case _:
                assert_never(leaf)

    def _moment_leaf(self, leaf: f.Moment) -> Condition:
        column = (
            subscriber.c.created_at
            if leaf.newsletter_id is None
            else self._subscription(leaf.newsletter_id).c.confirmed_at
        )
        match leaf.op:
            case "before":
                return _known(column < _time(leaf.at))
            case "since":
                return _known(column >= _time(leaf.at))
            case "within_days":
                return _known(column >= _time(self._moment - timedelta(days=leaf.days)))
            case _:
                assert_never(leaf.op)

    def _subscription(self, newsletter_id: int) -> sa.FromClause:
        found = self._subscriptions.get(newsletter_id)
        if found is None:
            found = subscription.alias(f"on_{len(self._subscriptions)}")
            self._subscriptions[newsletter_id] = found
            self.source = self.source.outerjoin(
                found,
                sa.and_(
                    found.c.newsletter_id == sa.literal(newsletter_id, sa.BigInteger),
                    found.c.subscriber_id == subscriber.c.id,
                ),
            )
        return found

    def _engaged(self, leaf: f.IssueEngagement | f.RecentEngagement) -> sa.FromClause:
        found = self._engagement.get(leaf)
        if found is None:
            event = sa.literal(leaf.event, sa.Text)
            match leaf:
                case f.IssueEngagement(issue_id=issue_id):
                    blocks = sa.select(issue_engagement.c.block, issue_engagement.c.members).where(
                        issue_engagement.c.event == event,
                        issue_engagement.c.issue_id == sa.literal(issue_id, sa.BigInteger),
                    )
                case f.RecentEngagement(days=days):
                    blocks = (
                        sa.select(daily_engagement.c.block, sa.func.bit_or(daily_engagement.c.members).label("members"))
                        .where(
                            daily_engagement.c.event == event,
                            daily_engagement.c.day >= sa.literal(self._today - timedelta(days=days), sa.Date),
                            daily_engagement.c.day <= sa.literal(self._today, sa.Date),
                        )
                        .group_by(daily_engagement.c.block)
                    )
                case _:
                    assert_never(leaf)
            found = blocks.subquery(f"engaged_{len(self._engagement)}")
            self._engagement[leaf] = found
            self.source = self.source.outerjoin(found, found.c.block == block_of(subscriber.c.id))
        return found


def _has_subscription(newsletter_id: int | None, state: State | None) -> Condition:
    # A scalar subquery instead of EXISTS, which the planner may turn into a join with all subscriptions.
    held = sa.select(sa.true()).where(subscription.c.subscriber_id == subscriber.c.id)
    if newsletter_id is not None:
        held = held.where(subscription.c.newsletter_id == sa.literal(newsletter_id, sa.BigInteger))
    if state is not None:
        held = held.where(subscription.c.state == sa.literal(state, sa.Text))
    return sa.func.coalesce(held.correlate(subscriber).limit(1).scalar_subquery(), sa.false(), type_=sa.Boolean)


def _known(condition: Condition) -> Condition:
    """The condition, but false where SQL would give NULL."""
    return sa.func.coalesce(condition, sa.false(), type_=sa.Boolean)


def _json(value: float) -> _Column:
    return sa.cast(sa.literal(msgspec.json.encode(value).decode(), sa.Text), pg.JSONB)


def _json_list(values: Sequence[float]) -> _Column:
    written = [msgspec.json.encode(value).decode() for value in values]
    return sa.cast(sa.literal(written, pg.ARRAY(sa.Text)), pg.ARRAY(pg.JSONB))


def _time(moment: datetime | None) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, sa.DateTime(timezone=True))


def _lower(text: str) -> sa.ColumnElement[str]:
    # Postgres folds the case on both sides, so that both follow the same rules.
    return sa.func.lower(sa.literal(text, sa.Text))


def _text(column: sa.ColumnElement[str], op: f.TextOp, values: tuple[str, ...]) -> Condition:
    folded = sa.func.lower(column)
    match op:
        case "eq":
            return _known(folded == _lower(values[0]))
        case "ne":
            return sa.not_(_known(folded == _lower(values[0])))
        case "in":
            wanted = sa.literal(list(values), pg.ARRAY(sa.Text))
            return _known(folded.in_(sa.select(sa.func.lower(sa.func.unnest(wanted).column_valued("one")))))
        case "contains":
            return _known(sa.func.strpos(folded, _lower(values[0])) > sa.literal(0, sa.Integer))
        case "starts_with":
            return _known(sa.func.starts_with(folded, _lower(values[0]), type_=sa.Boolean))
        case _:
            assert_never(op)


def _email(op: str, values: tuple[str, ...]) -> Condition:
    key = subscriber.c.email_key
    match op:
        case "eq":
            return _one_of(key, sa.literal(list(values), pg.ARRAY(sa.Text)))
        case "domain":
            # The part after the last @, since a quoted local part may contain an @.
            domain = sa.func.split_part(key, sa.literal("@", sa.Text), sa.literal(-1, sa.Integer))
            return _one_of(domain, sa.literal(list(values), pg.ARRAY(sa.Text)))
        case _:
            return sa.func.starts_with(key, sa.literal(values[0], sa.Text), type_=sa.Boolean)


def _one_of(column: _Column, values: _Column) -> Condition:
    return _known(column == sa.any_(values))


def _ordered(column: _Column, op: _Order, values: Sequence[_Column]) -> Condition:
    match op:
        case "eq":
            return _known(column == values[0])
        case "ne":
            return sa.not_(_known(column == values[0]))
        case "lt":
            return _known(column < values[0])
        case "le":
            return _known(column <= values[0])
        case "gt":
            return _known(column > values[0])
        case "ge":
            return _known(column >= values[0])
        case "between":
            return sa.and_(_known(column >= values[0]), _known(column <= values[1]))
        case _:
            assert_never(op)
