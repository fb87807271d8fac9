"""Tables of growth: how many people joined and left each newsletter, by day."""

import sqlalchemy as sa

from broadsheet_subscriptions.tables.core import SCHEMA, metadata

growth_day = sa.Table(
    "growth_day",
    metadata,
    sa.Column("newsletter_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("change", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    schema=SCHEMA,
)

growth_queue = sa.Table(
    "growth_queue",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("newsletter_id", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    schema=SCHEMA,
)
