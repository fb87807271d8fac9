"""The central tables of the schema `subscriptions`: subscribers, subscriptions, and what refers to them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_common.http.idempotency import idempotency_table

SCHEMA = "subscriptions"

metadata = sa.MetaData()

_TIME = sa.DateTime(timezone=True)

subscriber = sa.Table(
    "subscriber",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text(collation="C"), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("attributes", postgresql.JSONB, nullable=False, server_default="{}"),
    sa.Column("tags", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
    schema=SCHEMA,
)

subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("subscriber_id", sa.BigInteger, sa.ForeignKey(subscriber.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="pending"),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("confirmed_at", _TIME),
    sa.Column("unsubscribed_at", _TIME),
    sa.Column("confirmation_queued_at", _TIME),
    sa.Column("provider_changed_at", _TIME),
    sa.Column("provider_unsubscribed_at", _TIME),
    sa.Column("import_id", sa.BigInteger),
    sa.UniqueConstraint("subscriber_id", "newsletter_id"),
    sa.Index(
        "subscription_audience",
        "newsletter_id",
        "subscriber_id",
        "confirmed_at",
        postgresql_where=sa.text("state = 'confirmed'"),
    ),
    sa.Index(
        "subscription_to_ask",
        "import_id",
        "id",
        postgresql_where=sa.text("import_id IS NOT NULL AND state = 'pending' AND confirmation_queued_at IS NULL"),
    ),
    sa.Index(
        "subscription_pending_since",
        sa.text("coalesce(confirmation_queued_at, created_at)"),
        postgresql_where=sa.text("state = 'pending'"),
    ),
    schema=SCHEMA,
)

provider_change = sa.Table(
    "provider_change",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text(collation="C"), nullable=False),
    sa.Column("newsletter_ids", postgresql.ARRAY(sa.BigInteger), nullable=False),
    sa.Column("occurred_at", _TIME, nullable=False),
    sa.Column("enqueued_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema=SCHEMA,
)

confirmation_token = sa.Table(
    "confirmation_token",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("subscription_id", sa.BigInteger, sa.ForeignKey(subscription.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("expires_at", _TIME, nullable=False),
    sa.Column("used_at", _TIME),
    sa.Index("confirmation_token_by_subscription", "subscription_id"),
    sa.Index("confirmation_token_expiry", "expires_at"),
    schema=SCHEMA,
)

idempotency_key = idempotency_table(metadata, SCHEMA)
sa.Index("idempotency_key_expiry", idempotency_key.c.expires_at)
