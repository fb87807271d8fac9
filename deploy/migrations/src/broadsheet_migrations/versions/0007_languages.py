"""What readers are told in: the language of newsletters, for the services that write mails. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_PARTS = ("0007_languages",)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
