"""Tables of imports."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_subscriptions.tables.core import SCHEMA, metadata, subscriber

_TIME = sa.DateTime(timezone=True)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


import_job = sa.Table(
    "import_job",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="uploading"),
    sa.Column("failure", sa.Text),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("consent_basis", sa.Text, nullable=False),
    sa.Column("given_state", sa.Text, nullable=False),
    sa.Column("existing", sa.Text, nullable=False),
    sa.Column("added_tags", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("given_mapping", postgresql.JSONB),
    sa.Column("file_format", sa.Text),
    _count("file_bytes"),
    sa.Column("file_sha256", sa.LargeBinary),
    sa.Column("encoding", sa.Text),
    sa.Column("file_removed_at", _TIME),
    sa.Column("delimiter", sa.Text),
    sa.Column("columns", postgresql.ARRAY(sa.Text)),
    sa.Column("mapping", postgresql.JSONB),
    sa.Column("first_record", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("undecided_columns", postgresql.JSONB, nullable=False, server_default="[]"),
    sa.Column("remarks", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("run_number", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_token", sa.Uuid),
    sa.Column("lease_until", _TIME),
    sa.Column("failure_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
    sa.Column("undo_step", sa.Text),
    _count("undo_after_id"),
    _count("undo_restored"),
    _count("undo_removed"),
    sa.Column("undo_kept", postgresql.JSONB, nullable=False, server_default="{}"),
    sa.Index("import_job_to_do", "id", postgresql_where=sa.text("status IN ('queued', 'running', 'undoing')")),
    sa.Index("import_job_ended", "finished_at", postgresql_where=sa.text("finished_at IS NOT NULL")),
    schema=SCHEMA,
)

import_lane = sa.Table(
    "import_lane",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("lane", sa.SmallInteger, primary_key=True),
    sa.Column("lease_token", sa.Uuid),
    _count("byte_offset"),
    _count("record_number"),
    _count("line_number"),
    _count("row_count"),
    _count("created_count"),
    _count("updated_count"),
    _count("unchanged_count"),
    _count("rejected_count"),
    _count("duplicate_count"),
    _count("unsubscribed_count"),
    _count("suppressed_count"),
    _count("too_many_tags_count"),
    sa.Column("first_added_id", sa.BigInteger),
    sa.Column("last_added_id", sa.BigInteger),
    schema=SCHEMA,
)

import_piece = sa.Table(
    "import_piece",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    schema=SCHEMA,
)

import_sample = sa.Table(
    "import_sample",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("first_rows", postgresql.JSONB, nullable=False),
    schema=SCHEMA,
)

import_reject = sa.Table(
    "import_reject",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("run_number", sa.Integer, primary_key=True),
    sa.Column("record_number", sa.BigInteger, primary_key=True),
    sa.Column("line_number", sa.BigInteger, nullable=False),
    sa.Column("email_key", sa.Text(collation="C")),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cells", postgresql.JSONB, nullable=False),
    sa.Index("import_reject_by_address", "email_key", postgresql_where=sa.text("email_key IS NOT NULL")),
    schema=SCHEMA,
)

import_note = sa.Table(
    "import_note",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("run_number", sa.Integer, primary_key=True),
    sa.Column("column_title", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("cells", sa.BigInteger, nullable=False),
    sa.Column("lines", postgresql.ARRAY(sa.BigInteger), nullable=False),
    schema=SCHEMA,
)

import_person = sa.Table(
    "import_person",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, sa.ForeignKey(subscriber.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("before", postgresql.JSONB),
    sa.Column("after", postgresql.JSONB),
    sa.Index("import_person_by_subscriber", "subscriber_id"),
    schema=SCHEMA,
)

import_seen = sa.Table(
    "import_seen",
    metadata,
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey(import_job.c.id), primary_key=True),
    sa.Column("run_number", sa.Integer, primary_key=True),
    sa.Column("address_hash", sa.Uuid, primary_key=True),
    schema=SCHEMA,
)

import_mail_pace = sa.Table(
    "import_mail_pace",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("next_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema=SCHEMA,
)
