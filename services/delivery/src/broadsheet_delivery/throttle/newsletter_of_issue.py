"""Which newsletter an issue in a request's path belongs to, for rights that are held for some newsletters only."""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import AnyConnection
from broadsheet_delivery.throttle.state_store import newsletter_of_issue_run


async def newsletter_of_issue(connection: AnyConnection) -> int | None:
    """None if no issue with this id has been published."""
    engine: AsyncEngine = connection.app.state.engine
    async with engine.connect() as database:
        return await newsletter_of_issue_run(database, issue_id=connection.path_params["issue_id"])
