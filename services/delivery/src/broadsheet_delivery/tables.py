"""The schema `delivery` as SQLAlchemy tables; the migrations create it, `broadsheet_migrations check` compares."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from broadsheet_common.http.idempotency import idempotency_table

SCHEMA = "delivery"
EXPECTED_SCHEMA_VERSION = "0010"

metadata = sa.MetaData(schema=SCHEMA)

_TIME = sa.DateTime(timezone=True)
_NOW = sa.text("now()")
_ZERO = sa.text("0")


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=_ZERO)


idempotency_key = idempotency_table(metadata, SCHEMA)
sa.Index("idempotency_key_expiry", idempotency_key.c.expires_at)

issue_run = sa.Table(
    "issue_run",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'open'")),
    sa.Column("pause_reason", sa.Text),
    sa.Column("next_seq", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("fan_out_finished_at", _TIME),
    sa.Column("opened_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("finished_at", _TIME),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("preflight_at", _TIME),
    sa.Column("preflight_error", sa.Text),
    _counter("preflight_count"),
    sa.Column("preflight_due_at", _TIME, nullable=False, server_default=sa.text("'-infinity'")),
    sa.Column("partition_stage", sa.Text),
    sa.Column("frozen_counts", pg.JSONB),
    sa.Column("work_removed_at", _TIME),
    sa.Column("outcomes_removed_at", _TIME),
    sa.Column("tracks_opens", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("tracks_links", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("winner", sa.SmallInteger),
    sa.Index("issue_run_unfinished", "issue_id", postgresql_where=sa.text("state IN ('open', 'paused')")),
    sa.Index(
        "issue_run_cancelling",
        "issue_id",
        postgresql_where=sa.text("state = 'cancelled' AND finished_at IS NULL"),
    ),
    sa.Index("issue_run_by_newsletter", "newsletter_id", "issue_id"),
    sa.Index("issue_run_kept", "finished_at", postgresql_where=sa.text("outcomes_removed_at IS NULL")),
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("subscriber_id", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("issue_id", "subscriber_id"),
    postgresql_partition_by="LIST (issue_id)",
)

delivery_outcome = sa.Table(
    "delivery_outcome",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("attempt_id", pg.UUID),
    sa.Column("message_id", pg.UUID),
    sa.Column("error_code", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("settled_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("decision_id", sa.BigInteger),
    postgresql_partition_by="LIST (issue_id)",
)

delivery_chunk = sa.Table(
    "delivery_chunk",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey("delivery.issue_run.issue_id"), nullable=False),
    sa.Column("first_seq", sa.Integer, nullable=False),
    sa.Column("last_seq", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'pending'")),
    _counter("attempt_count"),
    sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("lease_token", pg.UUID),
    sa.Column("lease_until", _TIME),
    sa.Column("attempt_id", pg.UUID),
    _counter("accepted_count"),
    _counter("failed_count"),
    _counter("suppressed_count"),
    _counter("excluded_count"),
    _counter("cancelled_count"),
    _counter("reconcile_count"),
    _counter("handed_over_count"),
    sa.Column("enqueued_at", _TIME, server_default=_NOW),
    sa.Column("parked_at", _TIME),
    sa.Column("variant", sa.SmallInteger, nullable=False, server_default=sa.text("1")),
    sa.UniqueConstraint("issue_id", "first_seq"),
    sa.Index("delivery_chunk_claimable", "issue_id", "run_at", "id", postgresql_where=sa.text("status = 'pending'")),
    sa.Index("delivery_chunk_leases", "lease_until", postgresql_where=sa.text("status IN ('leased', 'attempting')")),
    sa.Index("delivery_chunk_uncertain", "run_at", postgresql_where=sa.text("status = 'uncertain'")),
    sa.Index("delivery_chunk_unsettled", "issue_id", postgresql_where=sa.text("status <> 'done'")),
)

single_mail = sa.Table(
    "single_mail",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'pending'")),
    sa.Column("to_email", sa.Text(collation="C")),
    sa.Column("subject", sa.Text),
    sa.Column("html_body", sa.Text),
    sa.Column("text_body", sa.Text),
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey("delivery.issue_run.issue_id")),
    sa.Column("seq", sa.Integer),
    _counter("attempt_count"),
    sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("lease_token", pg.UUID),
    sa.Column("lease_until", _TIME),
    sa.Column("attempt_id", pg.UUID),
    _counter("reconcile_count"),
    sa.Column("message_id", pg.UUID),
    sa.Column("error_code", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("expires_at", _TIME),
    sa.Column("settled_at", _TIME),
    sa.Column("parked_at", _TIME),
    sa.Column("newsletter_id", sa.BigInteger),
    sa.Column("subscriber_id", sa.BigInteger),
    sa.Index(
        "single_mail_transactional_due",
        "run_at",
        "id",
        postgresql_where=sa.text("status = 'pending' AND kind <> 'newsletter' AND kind <> 'welcome'"),
    ),
    sa.Index(
        "single_mail_welcome_due",
        "run_at",
        "id",
        postgresql_where=sa.text("status = 'pending' AND kind = 'welcome'"),
    ),
    sa.Index(
        "single_mail_transactional",
        "run_at",
        "id",
        postgresql_where=sa.text("status = 'pending' AND kind <> 'newsletter'"),
    ),
    sa.Index(
        "single_mail_newsletter",
        "run_at",
        "id",
        postgresql_where=sa.text("status = 'pending' AND kind = 'newsletter'"),
    ),
    sa.Index("single_mail_leases", "lease_until", postgresql_where=sa.text("status IN ('leased', 'attempting')")),
    sa.Index("single_mail_uncertain", "run_at", postgresql_where=sa.text("status = 'uncertain'")),
    sa.Index("single_mail_by_address", sa.text("lower(to_email)"), postgresql_where=sa.text("to_email IS NOT NULL")),
    sa.Index("single_mail_by_issue", "issue_id", "status", postgresql_where=sa.text("issue_id IS NOT NULL")),
)

send_attempt = sa.Table(
    "send_attempt",
    metadata,
    sa.Column("id", pg.UUID, primary_key=True),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("message_stream", sa.Text, nullable=False),
    sa.Column("issue_id", sa.BigInteger),
    sa.Column("chunk_id", sa.BigInteger),
    sa.Column("replica_id", pg.UUID, nullable=False),
    sa.Column("message_count", sa.Integer, nullable=False),
    sa.Column("started_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("first_seq", sa.Integer),
    sa.Column("last_seq", sa.Integer),
    sa.Column("seqs", pg.ARRAY(sa.Integer)),
    sa.Index("send_attempt_by_issue", "issue_id", postgresql_where=sa.text("issue_id IS NOT NULL")),
    sa.Index("send_attempt_by_chunk", "chunk_id", postgresql_where=sa.text("chunk_id IS NOT NULL")),
    sa.Index("send_attempt_by_stream", "message_stream", "started_at"),
)

send_attempt_end = sa.Table(
    "send_attempt_end",
    metadata,
    sa.Column("attempt_id", pg.UUID, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("http_status", sa.SmallInteger),
    sa.Column("error_code", sa.Integer),
    sa.Column("detail", sa.Text),
    _counter("accepted_count"),
    sa.Column("ended_at", _TIME, nullable=False, server_default=_NOW),
)

operator_action = sa.Table(
    "operator_action",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("issue_id", sa.BigInteger, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("seqs", pg.INT4MULTIRANGE),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("decided_at", _TIME, nullable=False, server_default=_NOW),
    sa.Index("operator_action_by_issue", "issue_id", "id"),
)

outcome_history = sa.Table(
    "outcome_history",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("issue_id", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("attempt_id", pg.UUID),
    sa.Column("error_code", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("settled_at", _TIME, nullable=False),
    sa.Column("retried_by_action_id", sa.BigInteger, sa.ForeignKey("delivery.operator_action.id"), nullable=False),
    sa.Column("retried_at", _TIME, nullable=False, server_default=_NOW),
    sa.Index("outcome_history_by_delivery", "issue_id", "seq"),
)

suppression = sa.Table(
    "suppression",
    metadata,
    sa.Column("message_stream", sa.Text, primary_key=True),
    sa.Column("email_key", sa.Text(collation="C"), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("id", sa.BigInteger, server_default=sa.text("nextval('delivery.suppression_id_seq')")),
    sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'inactive'")),
    sa.Column("origin", sa.Text, nullable=False, server_default=sa.text("'postmark'")),
    sa.Column("note", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
    sa.Column("changed_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("tell_run_at", _TIME),
    _counter("tell_count"),
    sa.Column("tell_error", sa.Text),
    sa.Column("all_streams", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Index("suppression_by_id", "id", unique=True),
    sa.Index("suppression_to_tell", "tell_run_at", postgresql_where=sa.text("tell_run_at IS NOT NULL")),
    sa.Index("suppression_by_address", "email_key"),
)

lift_request = sa.Table(
    "lift_request",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("suppression_id", sa.BigInteger, nullable=False),
    sa.Column("confirmed_at", _TIME, nullable=False),
)

erased_address = sa.Table(
    "erased_address",
    metadata,
    sa.Column("address_hash", sa.LargeBinary, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("erased_at", _TIME, nullable=False, server_default=_NOW),
    sa.Index("erased_address_by_age", "erased_at"),
)

erased_suppression = sa.Table(
    "erased_suppression",
    metadata,
    sa.Column("message_stream", sa.Text, primary_key=True),
    sa.Column(
        "address_hash",
        sa.LargeBinary,
        sa.ForeignKey("delivery.erased_address.address_hash", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'inactive'")),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False, server_default=sa.text("'postmark'")),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
    sa.Column("all_streams", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("changed_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("tell_run_at", _TIME),
    sa.Index("erased_suppression_by_address", "address_hash"),
)

erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("subscriber_id", sa.BigInteger, nullable=False),
    sa.Column("email_key", sa.Text(collation="C")),
    sa.Column("mails_up_to", sa.BigInteger, nullable=False),
    sa.Column("events_up_to", sa.BigInteger, nullable=False),
    sa.Column("requested_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
    _counter("failure_count"),
    sa.Column("finished_at", _TIME),
    sa.Index("erasure_due", "run_at", "id", postgresql_where=sa.text("finished_at IS NULL")),
    sa.Index("erasure_by_subscriber", "subscriber_id"),
)

provider_event_inbox = sa.Table(
    "provider_event_inbox",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("received_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
    _counter("failure_count"),
    sa.Index("provider_event_inbox_due", "run_at", "id"),
)

provider_event = sa.Table(
    "provider_event",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("record_type", sa.Text, nullable=False),
    sa.Column("message_stream", sa.Text),
    sa.Column("message_id", pg.UUID),
    sa.Column("issue_id", sa.BigInteger),
    sa.Column("seq", sa.Integer),
    sa.Column("single_mail_id", sa.BigInteger),
    sa.Column("email_key", sa.Text(collation="C")),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("occurred_at", _TIME, nullable=False),
    sa.Column("received_at", _TIME, nullable=False),
    sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
    sa.Column("detail", pg.JSONB, nullable=False),
    sa.Index("provider_event_by_delivery", "issue_id", "seq", postgresql_where=sa.text("issue_id IS NOT NULL")),
    sa.Index("provider_event_by_message", "message_id", postgresql_where=sa.text("message_id IS NOT NULL")),
    sa.Index(
        "provider_event_soft_bounces",
        "email_key",
        "message_stream",
        "occurred_at",
        postgresql_where=sa.text(
            "record_type = 'Bounce' AND email_key IS NOT NULL AND detail ->> 'type' IN ('SoftBounce', 'DnsError')"
        ),
    ),
    sa.Index("provider_event_of_no_issue", "received_at", postgresql_where=sa.text("issue_id IS NULL")),
)

backstop_state = sa.Table(
    "backstop_state",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
    sa.Column("run_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("lease_token", pg.UUID),
    sa.Column("lease_until", _TIME),
    sa.Column("bounces_read_to", _TIME),
    sa.Column("finished_at", _TIME),
)

sending_state = sa.Table(
    "sending_state",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
    sa.Column("paused_at", _TIME),
    sa.Column("pause_reason", sa.Text),
    sa.Column("back_off_until", _TIME, nullable=False, server_default=sa.text("'-infinity'")),
    _counter("back_off_count"),
    sa.Column("messages_per_s_max", sa.Double),
    sa.Column("concurrent_calls_max", sa.Integer),
    sa.Column("next_send_at", _TIME, nullable=False, server_default=sa.text("'-infinity'")),
    sa.Column("concurrency", sa.Double),
    sa.Column("concurrency_lowered_at", _TIME),
    _counter("failure_count"),
    sa.Column("breaker_reason", sa.Text),
    sa.Column("probe_token", pg.UUID),
    sa.Column("probe_until", _TIME),
)

replica = sa.Table(
    "replica",
    metadata,
    sa.Column("id", pg.UUID, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("seen_at", _TIME, nullable=False, server_default=_NOW),
    sa.Column("draining", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("stopped_at", _TIME),
    sa.Column("concurrent_calls", sa.Integer),
    sa.Index("replica_seen", "seen_at"),
)

ENGAGEMENT_BLOCK_BITS = 8_192
"""Bit n of block b is subscriber b * 8192 + n."""

issue_engagement = sa.Table(
    "issue_engagement",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("members", pg.BIT(ENGAGEMENT_BLOCK_BITS), nullable=False),
)

daily_engagement = sa.Table(
    "daily_engagement",
    metadata,
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("members", pg.BIT(ENGAGEMENT_BLOCK_BITS), nullable=False),
)

engagement_queue = sa.Table(
    "engagement_queue",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("issue_id", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
)

engagement_pass = sa.Table(
    "engagement_pass",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue_run.c.issue_id, ondelete="CASCADE"), primary_key=True),
    sa.Column("rolled", pg.INT4MULTIRANGE, nullable=False, server_default="{}"),
    sa.Column("pass_for", _TIME),
    sa.Column("next_seq", sa.Integer, nullable=False, server_default="1"),
    sa.Column("complete_for", _TIME),
)
