"""What changes subscriptions in a transaction, for those who are told of it (outgoing webhooks).

A trigger sees every change, whoever makes it, and not the reason; a use case that knows it says so first.
"""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

ChangeSource = Literal[
    "sign_up", "link", "preferences", "operator", "provider", "complaint", "import", "expired", "erasure"
]
"""`link`: one in a mail; `preferences`: the person's own page; `provider`: Postmark's own pages; `expired`: never
confirmed; `erasure`: the person was erased, on whoever's word. 40 characters at most.
"""


async def name_change_source(connection: AsyncConnection, source: ChangeSource) -> None:
    """Until the caller's transaction ends, or names another."""
    await connection.execute(
        sa.text("SELECT set_config('broadsheet.change_source', :source, true)"), {"source": source}
    )
