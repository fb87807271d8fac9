"""Tables of what Postmark said of streams and senders in the schema `delivery`, as the migrations create them."""

import sqlalchemy as sa

from broadsheet_delivery.tables import metadata

_TIME = sa.DateTime(timezone=True)

preflight_fact = sa.Table(
    "preflight_fact",
    metadata,
    sa.Column("newsletter_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("requested_at", _TIME, nullable=False, server_default=sa.text("now()")),
    sa.Column("checked_at", _TIME),
    sa.Column("message_stream", sa.Text),
    sa.Column("unsubscribe_handling", sa.Text),
    sa.Column("stream_state", sa.Text),
    sa.Column("stream_reason", sa.Text),
    sa.Column("sender", sa.Text),
    sa.Column("sender_since", _TIME),
    sa.Column("sender_state", sa.Text),
    sa.Column("sender_reason", sa.Text),
)

stream_check = sa.Table(
    "stream_check",
    metadata,
    sa.Column("message_stream", sa.Text, primary_key=True),
    sa.Column("unsubscribe_handling", sa.Text, primary_key=True),
    sa.Column("requested_at", _TIME, nullable=False, server_default=sa.text("now()")),
    sa.Column("checked_at", _TIME),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'unknown'")),
    sa.Column("reason", sa.Text),
)
