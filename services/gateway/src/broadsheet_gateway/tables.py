"""The schema `gateway`, as the migrations create it."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from broadsheet_common.http.idempotency import idempotency_table

metadata = sa.MetaData()

_now = sa.text("now()")

idempotency_key = idempotency_table(metadata, "gateway")
sa.Index("idempotency_key_expiry", idempotency_key.c.expires_at)

user_account = sa.Table(
    "user_account",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("username", sa.Text, nullable=False, unique=True),
    sa.Column("password_hash", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.Column("name", sa.Text, nullable=False, server_default=sa.text("''::text")),
    sa.Column("email", sa.Text),
    sa.Column("email_key", sa.Text, unique=True),
    sa.Column("deactivated_at", sa.DateTime(timezone=True)),
    sa.Column("sessions_end_before", sa.DateTime(timezone=True)),
    schema="gateway",
)

user_role = sa.Table(
    "user_role",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("newsletter_id", sa.BigInteger),
    sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.UniqueConstraint("user_id", "role", "newsletter_id", postgresql_nulls_not_distinct=True),
    schema="gateway",
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False, unique=True),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
    sa.Column("scopes", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("last_used_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("newsletter_ids", postgresql.ARRAY(sa.BigInteger)),
    sa.Column("previous_sha256", sa.LargeBinary),
    sa.Column("previous_expires_at", sa.DateTime(timezone=True)),
    sa.Column("rotated_at", sa.DateTime(timezone=True)),
    sa.UniqueConstraint("user_id", "name"),
    schema="gateway",
)

api_key_use = sa.Table(
    "api_key_use",
    metadata,
    sa.Column("key_id", sa.BigInteger, sa.ForeignKey(api_key.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    schema="gateway",
)

invitation = sa.Table(
    "invitation",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, server_default=sa.text("''::text")),
    sa.Column("roles", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("invited_by", sa.BigInteger, sa.ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("token_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    schema="gateway",
)

email_change = sa.Table(
    "email_change",
    metadata,
    sa.Column(
        "user_id",
        sa.BigInteger,
        sa.ForeignKey(user_account.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("new_email", sa.Text, nullable=False),
    sa.Column("new_email_key", sa.Text, nullable=False),
    sa.Column("old_email_key", sa.Text),
    sa.Column("old_token_sha256", sa.LargeBinary, unique=True),
    sa.Column("new_token_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("old_confirmed_at", sa.DateTime(timezone=True)),
    sa.Column("new_confirmed_at", sa.DateTime(timezone=True)),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    schema="gateway",
)

password_reset = sa.Table(
    "password_reset",
    metadata,
    sa.Column(
        "user_id",
        sa.BigInteger,
        sa.ForeignKey(user_account.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("token_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("used_at", sa.DateTime(timezone=True)),
    schema="gateway",
)


def _of_user() -> sa.Column[int]:
    """The key, or its first part, of a table about users."""
    return sa.Column(
        "user_id",
        sa.BigInteger,
        sa.ForeignKey(user_account.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


second_factor = sa.Table(
    "second_factor",
    metadata,
    _of_user(),
    sa.Column("sealed_secret", sa.Text, nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("added_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    schema="gateway",
)

second_factor_setup = sa.Table(
    "second_factor_setup",
    metadata,
    _of_user(),
    sa.Column("sealed_secret", sa.Text, nullable=False),
    sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
    schema="gateway",
)

second_factor_tries = sa.Table(
    "second_factor_tries",
    metadata,
    _of_user(),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("counted_from", sa.DateTime(timezone=True), nullable=False),
    schema="gateway",
)

recovery_code = sa.Table(
    "recovery_code",
    metadata,
    _of_user(),
    sa.Column("code_sha256", sa.LargeBinary, primary_key=True),
    sa.Column("used_at", sa.DateTime(timezone=True)),
    schema="gateway",
)

second_factor_requirement = sa.Table(
    "second_factor_requirement",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("newsletter_id", sa.BigInteger),
    sa.UniqueConstraint("newsletter_id", postgresql_nulls_not_distinct=True),
    schema="gateway",
)

passkey = sa.Table(
    "passkey",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("credential_id", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    sa.Column("user_handle", sa.LargeBinary, nullable=False),
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.Column("last_used_at", sa.DateTime(timezone=True)),
    sa.Index("passkey_by_user", "user_id"),
    schema="gateway",
)

provider_link = sa.Table(
    "provider_link",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey(user_account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("mapped_roles", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'::text[]")),
    sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False, server_default=_now),
    sa.UniqueConstraint("user_id", "issuer"),
    schema="gateway",
)
