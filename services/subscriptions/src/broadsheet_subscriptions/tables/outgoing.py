"""Tables of outgoing webhooks."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_subscriptions.tables.core import SCHEMA, metadata

_TIME = sa.DateTime(timezone=True)
_IS_WAITING = "status = 'waiting'"

webhook_endpoint = sa.Table(
    "webhook_endpoint",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("events", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("newsletter_ids", postgresql.ARRAY(sa.BigInteger)),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("disabled_at", _TIME),
    sa.Column("failing_since", _TIME),
    sa.Column("failure_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("deleted_at", _TIME),
    schema=SCHEMA,
)

webhook_secret = sa.Table(
    "webhook_secret",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("endpoint_id", sa.BigInteger, sa.ForeignKey(webhook_endpoint.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("expires_at", _TIME),
    sa.Index("webhook_secret_by_endpoint", "endpoint_id"),
    schema=SCHEMA,
)

webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("endpoint_id", sa.BigInteger, nullable=False),
    sa.Column("message_id", sa.Uuid, nullable=False, server_default=sa.func.gen_random_uuid()),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subscriber_id", sa.BigInteger),
    sa.Column("newsletter_id", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("occurred_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("status", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("run_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("lease_token", sa.Uuid),
    sa.Column("attempts_begun", sa.Integer, nullable=False, server_default="0"),
    sa.Column("settled_at", _TIME),
    sa.Index("webhook_delivery_due", "endpoint_id", "run_at", "id", postgresql_where=sa.text(_IS_WAITING)),
    sa.Index(
        "webhook_delivery_tests",
        "endpoint_id",
        "run_at",
        "id",
        postgresql_where=sa.text(f"{_IS_WAITING} AND type = 'webhook.test'"),
    ),
    sa.Index("webhook_delivery_log", "endpoint_id", "id"),
    sa.Index("webhook_delivery_by_subscriber", "subscriber_id"),
    sa.Index("webhook_delivery_age", "created_at"),
    schema=SCHEMA,
)

webhook_attempt = sa.Table(
    "webhook_attempt",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey(webhook_delivery.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("recorded_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("answer", sa.Text),
    sa.Index("webhook_attempt_by_delivery", "delivery_id", "id"),
    schema=SCHEMA,
)
