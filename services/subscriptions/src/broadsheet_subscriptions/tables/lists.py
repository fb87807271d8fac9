"""Tables of attributes and segments."""

import sqlalchemy as sa

from broadsheet_subscriptions.tables.core import SCHEMA, metadata

attribute = sa.Table(
    "attribute",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    schema=SCHEMA,
)
