"""Alembic's environment: one transaction a migration, bounded lock waits, every schema of ours."""

from alembic import context
from sqlalchemy import Connection, MetaData, create_engine, pool

from broadsheet_migrations.connecting import connect_timeout_s

_SCHEMAS = frozenset({"subscriptions", "publishing", "delivery", "gateway", "audit"})

config = context.config
url: str = config.attributes["url"]


def _service_tables() -> MetaData | None:
    """The services' table definitions; None in an image that holds the migrations alone."""
    try:
        import broadsheet_delivery.preflight.tables  # noqa: F401, PLC0415  # declares tables
        import broadsheet_gateway.audit.tables  # noqa: F401, PLC0415  # the same
        from broadsheet_delivery.reports.tables import metadata as delivery  # noqa: PLC0415  # only `check` needs them
        from broadsheet_gateway.tables import metadata as gateway  # noqa: PLC0415
        from broadsheet_publishing.tables import metadata as publishing  # noqa: PLC0415
        from broadsheet_subscriptions.tables import metadata as subscriptions  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    merged = MetaData()
    for metadata in (delivery, gateway, publishing, subscriptions):
        for table in metadata.tables.values():
            table.to_metadata(merged)
    return merged


def _include_name(name: str | None, type_: str, _parent: object) -> bool:
    if type_ == "schema":
        return name in _SCHEMAS
    # Partitions belong to their parent, which is compared.
    return not (type_ == "table" and name is not None and "_part_" in name)


def _configure(*, connection: Connection | None = None) -> None:
    """Online with a connection, else as SQL on standard output."""
    context.configure(
        connection=connection,
        dialect_name=None if connection is not None else "postgresql",
        literal_binds=connection is None,
        target_metadata=_service_tables(),
        include_schemas=True,
        include_name=_include_name,
        transaction_per_migration=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _configure()
else:
    timeout_s = connect_timeout_s(url)
    # A None here would override what the URL says.
    bounded = {} if timeout_s is None else {"connect_timeout": timeout_s}
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=bounded)
    with engine.connect() as open_connection:
        _configure(connection=open_connection)
