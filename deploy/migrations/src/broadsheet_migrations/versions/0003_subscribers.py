"""Subscribers: consent, leaving, segments, imports, outgoing webhooks; and the schedule. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PARTS = (
    "0003_schedule",
    "0003_address_keys",
    "0003_arriving",
    "0003_leaving",
    "0003_lists",
    "0003_imports",
    "0003_outgoing_webhooks",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
