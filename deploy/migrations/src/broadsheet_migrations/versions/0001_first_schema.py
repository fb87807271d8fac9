"""The first schema: four services, their roles, the queue."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PARTS = ("0001_roles", "0001_publishing", "0001_subscriptions", "0001_delivery", "0001_queue", "0001_gateway")


def upgrade() -> None:
    # A lock that does not come soon must not make every other session queue behind this one.
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
