"""Tables of a person's own pages (links, changes of address), and of erasure."""

import sqlalchemy as sa

from broadsheet_subscriptions.tables.core import SCHEMA, metadata, subscriber

_TIME = sa.DateTime(timezone=True)
_NOW = sa.func.now()

preferences_link = sa.Table(
    "preferences_link",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, sa.ForeignKey(subscriber.c.id, ondelete="SET NULL")),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("expires_at", _TIME, nullable=False),
    sa.Index("preferences_link_by_subscriber", "subscriber_id", "created_at"),
    sa.Index("preferences_link_expiry", "expires_at"),
    schema=SCHEMA,
)

address_change = sa.Table(
    "address_change",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, sa.ForeignKey(subscriber.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("old_email", sa.Text, nullable=False),
    sa.Column("old_email_key", sa.Text(collation="C"), nullable=False),
    sa.Column("new_email", sa.Text, nullable=False),
    sa.Column("new_email_key", sa.Text(collation="C"), nullable=False),
    sa.Column("token_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("requested_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("expires_at", _TIME, nullable=False),
    sa.Column("confirmed_at", _TIME),
    sa.Index("address_change_by_subscriber", "subscriber_id", "requested_at"),
    sa.Index("address_change_by_new_address", "new_email_key", "requested_at"),
    sa.Index("address_change_expiry", "expires_at", postgresql_where=sa.text("confirmed_at IS NULL")),
    schema=SCHEMA,
)

erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("subscriber_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("erased_at", _TIME, nullable=False, server_default=_NOW),
    schema=SCHEMA,
)
