"""Removes the values of removed attributes from the subscribers, one page per transaction, for as long as the app
runs.

Until the last page is done, a new attribute cannot have the old name: the old values would be read as its type.
"""

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_subscriptions.attributes import store

PAGE_ROWS = 2_000
PAGES_A_ROUND_MAX = 500
INTERVAL_S = 5.0
BOUND_S = 120.0
LOOP = "subscriptions.removed_attributes"


async def remove_attribute_values(
    engine: AsyncEngine, set_aside: SetAside[str] | None = None, *, page_rows: int = PAGE_ROWS
) -> int:
    """One bounded round; returns how many subscribers were looked at. Any number of replicas may run it."""
    held = SetAside[str](LOOP) if set_aside is None else set_aside
    seen = 0
    for _ in range(PAGES_A_ROUND_MAX):
        removal: store.Removal | None = None
        try:
            async with engine.begin() as connection:
                removal = await store.lock_removal(connection, resting=held.resting())
                if removal is None:
                    break
                seen += await store.remove_values(connection, removal, limit=page_rows)
        except Exception as error:
            # Any error that may be this attribute's fault sets it aside, and the others go on.
            if removal is None or not may_be_the_items_fault(error):
                raise
            held.hold(removal.name, error)
        else:
            held.forget(removal.name)
    return seen
