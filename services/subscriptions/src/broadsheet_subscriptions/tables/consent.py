"""Tables of consent: what people agreed to, and how much mail a sign-up may cause."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_subscriptions.tables.core import SCHEMA, metadata, subscriber

_TIME = sa.DateTime(timezone=True)

consent_event = sa.Table(
    "consent_event",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, sa.ForeignKey(subscriber.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("occurred_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("actor", sa.Text),
    sa.Column("ip", postgresql.INET),
    sa.Column("user_agent", sa.Text),
    sa.Column("form_url", sa.Text),
    sa.Column("wording_version", sa.Integer),
    sa.Column("mail", sa.Text),
    sa.Column("mail_key", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Index("consent_event_by_subscriber", "subscriber_id", "id"),
    schema=SCHEMA,
)

unsettled_mail = sa.Table(
    "unsettled_mail",
    metadata,
    sa.Column(
        "consent_event_id", sa.BigInteger, sa.ForeignKey(consent_event.c.id, ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("look_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Index("unsettled_mail_due", "look_at"),
    schema=SCHEMA,
)

mailbox_quota = sa.Table(
    "mailbox_quota",
    metadata,
    sa.Column("mailbox_hash", sa.LargeBinary, primary_key=True),
    sa.Column("window_began_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("mails", sa.Integer, nullable=False, server_default="0"),
    sa.Index("mailbox_quota_by_age", "window_began_at"),
    schema=SCHEMA,
)
