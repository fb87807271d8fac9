"""Take the values of removed attributes from the subscribers, a page a transaction, for as long as the app runs.

Until the last page a new attribute cannot have the old one's name: its type would be read into the old values.
"""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.attributes import store

PAGE_ROWS = 2_000
PAGES_A_ROUND_MAX = 500
INTERVAL_S = 5.0


async def remove_attribute_values(engine: AsyncEngine, *, page_rows: int = PAGE_ROWS) -> int:
    """One bounded round; how many subscribers were looked at. Any number of replicas may do it."""
    seen = 0
    for _ in range(PAGES_A_ROUND_MAX):
        async with engine.begin() as connection:
            removal = await store.lock_removal(connection)
            if removal is None:
                break
            seen += await store.remove_values(connection, removal, limit=page_rows)
    return seen
