"""Mails to readers come from their newsletter: its sender, name, colour and logo. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_PARTS = ("0009_mail_senders",)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
