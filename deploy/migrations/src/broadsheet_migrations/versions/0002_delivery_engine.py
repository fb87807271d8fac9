"""The delivery engine: shared limits, operators' choices, Postmark's events. Expands only: 0001's code runs on it."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PARTS = ("0002_sending", "0002_operators", "0002_provider_events")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
