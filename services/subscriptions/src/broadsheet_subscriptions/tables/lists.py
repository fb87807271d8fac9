"""Tables of attributes, tags and segments, and the other services' views that filters use."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_subscriptions.tables.core import SCHEMA, metadata, subscriber, subscription

_TIME = sa.DateTime(timezone=True)

BLOCK_BITS = 8_192
"""How many subscribers share one block of bits: bit n of block b is subscriber b * 8192 + n."""
_BLOCK_BITS_LOG2 = BLOCK_BITS.bit_length() - 1

attribute = sa.Table(
    "attribute",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("removed_at", _TIME),
    sa.Column("removed_to_id", sa.BigInteger, nullable=False, server_default="0"),
    schema=SCHEMA,
)

subscriber_tag = sa.Table(
    "subscriber_tag",
    metadata,
    sa.Column("tag", sa.Text(collation="C"), primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, primary_key=True, autoincrement=False),
    schema=SCHEMA,
)

NAME_SEARCH_CHARS = 64
# In the form in which Postgres shows these expressions.
_NAME_KEY = '"left"(lower(name), 64)'
_LAST_NAME_KEY = "\"left\"(lower(split_part(name, ' '::text, '-1'::integer)), 64)"

# These indexes are in the order of bytes (COLLATE "C"), which a reflected index does not show.
sa.Index("subscriber_by_name", sa.text(f"({_NAME_KEY})"), subscriber.c.id)
sa.Index(
    "subscriber_by_last_name",
    sa.text(f"({_LAST_NAME_KEY})"),
    subscriber.c.id,
    postgresql_where=sa.text("strpos(name, ' ') > 0"),
)
sa.Index(
    "subscription_unconfirmed",
    subscription.c.newsletter_id,
    subscription.c.state,
    subscription.c.subscriber_id,
    postgresql_where=sa.text("state <> 'confirmed'"),
)

segment = sa.Table(
    "segment",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("filter", postgresql.JSONB, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema=SCHEMA,
)

audience = sa.Table(
    "audience",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("segment_id", sa.BigInteger, nullable=False),
    sa.Column("filter", postgresql.JSONB, nullable=False),
    sa.Column("frozen_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("next_block", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("member_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("completed_at", _TIME),
    sa.Column("released_at", _TIME),
    sa.Column("run_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("failure_count", sa.Integer, nullable=False, server_default="0"),
    sa.Index("audience_open", "run_at", postgresql_where=sa.text("completed_at IS NULL")),
    schema=SCHEMA,
)

audience_block = sa.Table(
    "audience_block",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(audience.c.issue_id, ondelete="CASCADE"), primary_key=True),
    sa.Column("block", sa.BigInteger, primary_key=True),
    sa.Column("members", postgresql.BIT(BLOCK_BITS), nullable=False),
    schema=SCHEMA,
)

# Views that delivery and publishing provide. They are not in the metadata, which has only tables of this service.
issue_engagement = sa.table(
    "published_issue_engagement",
    sa.column("issue_id", sa.BigInteger),
    sa.column("event", sa.Text),
    sa.column("block", sa.BigInteger),
    sa.column("members", postgresql.BIT(BLOCK_BITS)),
    schema="delivery",
)
daily_engagement = sa.table(
    "published_daily_engagement",
    sa.column("event", sa.Text),
    sa.column("day", sa.Date),
    sa.column("block", sa.BigInteger),
    sa.column("members", postgresql.BIT(BLOCK_BITS)),
    schema="delivery",
)
suppressed = sa.table(
    "published_suppressed", sa.column("message_stream", sa.Text), sa.column("email_key", sa.Text), schema="delivery"
)


def block_of(subscriber_id: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return subscriber_id.bitwise_rshift(sa.literal(_BLOCK_BITS_LOG2, sa.Integer))


def bit_of(subscriber_id: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """The position of a subscriber's bit in its block."""
    return sa.cast(subscriber_id.bitwise_and(sa.literal(BLOCK_BITS - 1, sa.BigInteger)), sa.Integer)
