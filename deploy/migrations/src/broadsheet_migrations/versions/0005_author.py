"""Newsletters, drafts, compiled content and reports: one SQL file for each subject. Expands only."""

from alembic import op

from broadsheet_migrations.history import read_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PARTS = (
    "0005_compiled_content",
    "0005_newsletters",
    "0005_drafts",
    "0005_approvals",
    "0005_preflight_facts",
    "0005_reports",
    "0005_archive",
    "0005_parts",
    "0005_ab_tests",
    "0005_waves",
    "0005_welcome",
    "0005_audience",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for part in _PARTS:
        op.execute(read_sql(part))


def downgrade() -> None:
    raise RuntimeError("The history only goes forward: restore a backup, or write the next migration.")
