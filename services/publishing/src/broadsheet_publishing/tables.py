"""The tables of the schema `publishing`, as the migrations create them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_common.http.idempotency import idempotency_table

SCHEMA = "publishing"

metadata = sa.MetaData()

_TIME = sa.DateTime(timezone=True)

layout = sa.Table(
    "layout",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema=SCHEMA,
)

newsletter = sa.Table(
    "newsletter",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("from_name", sa.Text),
    sa.Column("from_email", sa.Text),
    sa.Column("reply_to", sa.Text),
    sa.Column("message_stream", sa.Text, nullable=False, server_default="broadcast"),
    sa.Column("unsubscribe_handling", sa.Text, nullable=False, server_default="custom"),
    sa.Column("postal_address", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("allowed_origins", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("is_listed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sender_version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.Text, nullable=False, server_default="en"),
    sa.Column("direction", sa.Text, nullable=False, server_default="ltr"),
    sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"),
    sa.Column("accent_colour", sa.Text, nullable=False, server_default="#7a1f1f"),
    sa.Column("logo_url", sa.Text),
    sa.Column("logo_alt", sa.Text, nullable=False, server_default=""),
    sa.Column("sign_up_heading", sa.Text, nullable=False, server_default=""),
    sa.Column("sign_up_text", sa.Text, nullable=False, server_default=""),
    sa.Column("sign_up_button", sa.Text, nullable=False, server_default=""),
    sa.Column("texts", postgresql.JSONB, nullable=False, server_default="{}"),
    sa.Column("has_archive", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("archive_is_hidden", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("layout_id", sa.BigInteger, sa.ForeignKey("publishing.layout.id")),
    sa.Column("requires_approval", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("archived_at", _TIME),
    sa.Index("newsletter_by_layout", "layout_id", postgresql_where=sa.text("layout_id IS NOT NULL")),
    sa.Column("track_opens", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("track_links", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("newsletter_one_default", "is_default", unique=True, postgresql_where=sa.text("is_default")),
    schema=SCHEMA,
)

issue = sa.Table(
    "issue",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("newsletter_id", sa.BigInteger, sa.ForeignKey(newsletter.c.id), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("html_content", sa.Text),
    sa.Column("text_content", sa.Text),
    sa.Column("status", sa.Text, nullable=False, server_default="draft"),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("published_at", _TIME),
    sa.Column("scheduled_at", _TIME),
    sa.Column("scheduled_local", sa.Text),
    sa.Column("scheduled_time_zone", sa.Text),
    sa.Column("schedule_note", sa.Text),
    sa.Column("in_reader_time_zone", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("ab_test", sa.Text),
    sa.Index("issue_due", "scheduled_at", "id", postgresql_where=sa.text("status = 'scheduled'")),
    sa.Column("segment_id", sa.BigInteger),
    sa.Column("content_version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("subject", sa.Text),
    sa.Column("preheader", sa.Text, nullable=False, server_default=""),
    sa.Column("format", sa.Text, nullable=False, server_default="markdown"),
    sa.Column("content", sa.Text, nullable=False, server_default=""),
    sa.Column("layout_id", sa.BigInteger, sa.ForeignKey(layout.c.id)),
    sa.Column("slug", sa.Text),
    sa.Column("in_archive", sa.Boolean),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("saved_by", sa.Text, nullable=False, server_default=""),
    sa.Index("issue_slug_once", "newsletter_id", "slug", unique=True, postgresql_where=sa.text("slug IS NOT NULL")),
    sa.Index("issue_by_layout", "layout_id", postgresql_where=sa.text("layout_id IS NOT NULL")),
    sa.Index("issue_by_newsletter", "newsletter_id", "id"),
    sa.Index(
        "issue_by_publication",
        "newsletter_id",
        "published_at",
        "id",
        postgresql_where=sa.text("status = 'published'"),
    ),
    schema=SCHEMA,
)

issue_revision = sa.Table(
    "issue_revision",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("preheader", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("text_content", sa.Text),
    sa.Column("layout_id", sa.BigInteger),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("saved_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("saved_by", sa.Text, nullable=False),
    sa.Column("restored_from", sa.BigInteger),
    sa.Column("ab_test", sa.Text),
    schema=SCHEMA,
)

issue_step = sa.Table(
    "issue_step",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Index("issue_step_by_issue", "issue_id", "id"),
    schema=SCHEMA,
)

issue_approval = sa.Table(
    "issue_approval",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("request_note", sa.Text, nullable=False, server_default=""),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", _TIME),
    sa.Column("decision", sa.Text),
    sa.Column("decision_note", sa.Text, nullable=False, server_default=""),
    sa.Index("issue_approval_by_issue", "issue_id", "id"),
    schema=SCHEMA,
)

compiled_content = sa.Table(
    "compiled_content",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("variant", sa.SmallInteger, primary_key=True, server_default="1"),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("preheader", sa.Text, nullable=False, server_default=""),
    sa.Column("html_content", sa.Text),
    sa.Column("text_content", sa.Text, nullable=False),
    sa.Column("web_path", sa.Text),
    sa.Column("content_version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("compiled_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("digest", sa.Text, nullable=False, server_default=""),
    schema=SCHEMA,
)

welcome_mail = sa.Table(
    "welcome_mail",
    metadata,
    sa.Column(
        "newsletter_id",
        sa.BigInteger,
        sa.ForeignKey(newsletter.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("faults", postgresql.JSONB, nullable=False, server_default="[]"),
    sa.Column("mail_subject", sa.Text),
    sa.Column("html_content", sa.Text),
    sa.Column("text_content", sa.Text),
    sa.Column("content_version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("wanted_version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("compiled_version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("welcome_mail_outdated", "newsletter_id", postgresql_where=sa.text("compiled_version < wanted_version")),
    schema=SCHEMA,
)

fan_out = sa.Table(
    "fan_out",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id), primary_key=True),
    sa.Column("frozen_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("cursor_subscriber_id", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("enqueued_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("finished_at", _TIME),
    sa.Column("is_segmented", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("fan_out_open", "issue_id", postgresql_where=sa.text("finished_at IS NULL")),
    schema=SCHEMA,
)

ab_test = sa.Table(
    "ab_test",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id), primary_key=True),
    sa.Column("variant_count", sa.SmallInteger, nullable=False),
    sa.Column("share_percent", sa.SmallInteger, nullable=False),
    sa.Column("decide_by", sa.Text, nullable=False),
    sa.Column("sample_min", sa.Integer, nullable=False),
    sa.Column("look_at", _TIME),
    sa.Column("give_up_at", _TIME),
    sa.Column("decided_at", _TIME),
    sa.Column("winner", sa.SmallInteger),
    sa.Column("reason", sa.Text),
    sa.Column("decided_by", sa.Text),
    sa.Index("ab_test_due", "look_at", postgresql_where=sa.text("decided_at IS NULL AND look_at IS NOT NULL")),
    schema=SCHEMA,
)

wave = sa.Table(
    "wave",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id), primary_key=True),
    sa.Column("number", sa.SmallInteger, primary_key=True),
    sa.Column("due_at", _TIME, nullable=False),
    sa.Column("is_fallback", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("recipients", sa.BigInteger, nullable=False, server_default="0"),
    schema=SCHEMA,
)

wave_zone = sa.Table(
    "wave_zone",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True),
    sa.Column("time_zone", sa.Text, primary_key=True),
    sa.Column("number", sa.SmallInteger, nullable=False),
    sa.ForeignKeyConstraint(["issue_id", "number"], [wave.c.issue_id, wave.c.number]),
    schema=SCHEMA,
)

audience_expectation = sa.Table(
    "audience_expectation",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("shown_count", sa.BigInteger, nullable=False),
    sa.Column("shown_at", _TIME, nullable=False),
    sa.Column("segment_id", sa.BigInteger),
    sa.Column("filter_digest", sa.Text),
    sa.Column("growth_max", sa.BigInteger),
    sa.Column("shrinkage_max", sa.BigInteger),
    sa.Column("trial_id", sa.BigInteger),
    sa.Column("found_count", sa.BigInteger),
    schema=SCHEMA,
)

idempotency_key = idempotency_table(metadata, SCHEMA)
sa.Index("idempotency_key_expiry", idempotency_key.c.expires_at)
