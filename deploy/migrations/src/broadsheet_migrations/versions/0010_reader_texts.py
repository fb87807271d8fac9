"""A newsletter's own words for readers. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_PARTS = ("0010_reader_texts",)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
