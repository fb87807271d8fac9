"""Users with roles, keys, the audit log: one SQL file for each subject. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PARTS = (
    "0006_people",
    "0006_watching",
    "0006_audit",
    "0006_sign_up",
    "0006_sign_in",
    "0006_second_factor",
    "0006_passkeys",
    "0006_user_addresses",
    "0006_account_mails",
    "0006_invitations",
    "0006_email_changes",
    "0006_idempotency",
    "0006_oidc",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
