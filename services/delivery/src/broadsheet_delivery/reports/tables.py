"""Tables of reports in the schema `delivery`, as the migrations create them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from broadsheet_delivery.tables import issue_run, metadata

_TIME = sa.DateTime(timezone=True)

departure = sa.Table(
    "departure",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("left_at", _TIME, nullable=False, server_default=sa.text("now()")),
)

report_queue = sa.Table(
    "report_queue",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("item", sa.BigInteger, primary_key=True, autoincrement=False),
)

report_pace = sa.Table(
    "report_pace",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
    sa.Column("next_at", _TIME, nullable=False, server_default=sa.text("'-infinity'")),
    sa.Column("last_issue_id", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("backfill_next_id", sa.BigInteger, nullable=False),
    sa.Column("backfill_end_id", sa.BigInteger, nullable=False),
)

report_issue = sa.Table(
    "report_issue",
    metadata,
    sa.Column("issue_id", sa.BigInteger, sa.ForeignKey(issue_run.c.issue_id, ondelete="CASCADE"), primary_key=True),
    sa.Column("rolled", pg.INT4MULTIRANGE, nullable=False, server_default="{}"),
    sa.Column("pass_for", _TIME),
    sa.Column("next_seq", sa.Integer, nullable=False, server_default="1"),
    sa.Column("complete_for", _TIME),
    sa.Column("rolled_at", _TIME),
)

REPORT_BLOCK_SIZE = 1_000
"""Block b holds the deliveries b * 1000 + 1 to b * 1000 + 1000 of an issue."""

report_block = sa.Table(
    "report_block",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("domains", pg.ARRAY(sa.Integer), nullable=False),
    sa.Column("variants", pg.ARRAY(sa.SmallInteger), nullable=False),
    sa.Column("accepted", pg.BIT(REPORT_BLOCK_SIZE), nullable=False),
)

report_domain = sa.Table(
    "report_domain",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text(collation="C"), nullable=False),
    sa.UniqueConstraint("issue_id", "name"),
)

report_link = sa.Table(
    "report_link",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("url", sa.Text(collation="C"), nullable=False),
    sa.UniqueConstraint("issue_id", "url"),
)

report_figure = sa.Table(
    "report_figure",
    metadata,
    sa.Column("issue_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("figure", sa.Text, primary_key=True),
    sa.Column("key", sa.Text(collation="C"), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)

__all__ = [
    "REPORT_BLOCK_SIZE",
    "departure",
    "metadata",
    "report_block",
    "report_domain",
    "report_figure",
    "report_issue",
    "report_link",
    "report_pace",
    "report_queue",
]
