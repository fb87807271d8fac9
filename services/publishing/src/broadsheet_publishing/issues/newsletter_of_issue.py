"""Which newsletter an issue in a request's path belongs to, for rights that are held for some newsletters only."""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import AnyConnection
from broadsheet_publishing.issues import store


async def newsletter_of_issue(connection: AnyConnection) -> int | None:
    """None if there is no such issue."""
    engine: AsyncEngine = connection.app.state.engine
    async with engine.connect() as database:
        return await store.find_newsletter_of_issue(database, connection.path_params["issue_id"])
