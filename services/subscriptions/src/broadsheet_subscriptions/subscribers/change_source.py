"""The reason for the changes to subscriptions in a transaction, which outgoing webhooks report.

A trigger sees every change, but not its reason. A use case that knows the reason sets it first.
"""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

ChangeSource = Literal[
    "sign_up", "link", "preferences", "operator", "provider", "complaint", "import", "expired", "erasure"
]
"""`link`: a link in a mail; `preferences`: the person's own page; `provider`: Postmark's own pages; `expired`: never
confirmed; `erasure`: the person was erased, by an operator or by themselves. At most 40 characters.
"""


_NAME = sa.text("SELECT set_config('broadsheet.change_source', :source, true)")


async def name_change_source(connection: AsyncConnection, source: ChangeSource) -> None:
    """Holds until the caller's transaction ends or sets another one."""
    await connection.execute(_NAME, {"source": source})
