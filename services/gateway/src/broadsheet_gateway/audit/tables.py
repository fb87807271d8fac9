"""The schema `audit`, as the migrations create it. Services add entries by `contracts.audit`; this one reads them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_gateway.tables import metadata


def _said() -> list[sa.Column[object]]:
    return [
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("target_kind", sa.Text, nullable=False),
        sa.Column("target_id", sa.Text),
        sa.Column("newsletter_id", sa.BigInteger),
        sa.Column("before", postgresql.JSONB),
        sa.Column("after", postgresql.JSONB),
        sa.Column("trace_id", sa.Text),
    ]


waiting = sa.Table(
    "waiting",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
    *_said(),
    schema="audit",
)

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    *_said(),
    sa.Column("previous_hash", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("entry_by_time", "at"),
    sa.Index("entry_by_actor", "actor", "number"),
    sa.Index("entry_by_person", "person", "number"),
    sa.Index("entry_by_action", "action", "number"),
    sa.Index("entry_by_target", "target_kind", "target_id", "number"),
    schema="audit",
)

head = sa.Table(
    "head",
    metadata,
    sa.Column("is_only", sa.Boolean, primary_key=True, server_default=sa.text("true")),
    sa.Column("number", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("hash", sa.LargeBinary, nullable=False, server_default=sa.text("decode(repeat('00', 32), 'hex')")),
    schema="audit",
)

stream = sa.Table(
    "stream",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("lease", sa.Text),
    sa.Column("leased_until", sa.DateTime(timezone=True)),
    schema="audit",
)
