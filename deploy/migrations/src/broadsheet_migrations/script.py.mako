"""${message}"""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A lock that does not come soon must not make every other session queue behind this one.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(read_sql("${up_revision}"))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
