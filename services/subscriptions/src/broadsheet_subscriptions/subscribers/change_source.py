"""What a transaction that changes subscriptions says first: why, and how its statements are to be run.

A trigger sees every change, but not its reason, which outgoing webhooks report. A use case that knows the reason sets
it first.
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


_BEGIN = sa.text("""
    SELECT set_config('broadsheet.change_source', :source, true),
           set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
           set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
           set_config('lock_timeout', coalesce(:bound, current_setting('lock_timeout')), true)
""").bindparams(sa.bindparam("bound", type_=sa.Text))


async def begin_change(
    connection: AsyncConnection, source: ChangeSource, *, lock_wait_max_ms: int | None = None
) -> None:
    """As `name_change_source`, for changes that people make all the time, of one subscriber or of a few hundred.

    Until the transaction ends, each connection plans a statement once: Postgres would plan it anew each time, which
    takes as long as running it. Such a plan may be made while the tables are empty, so it may only walk indexes, as is
    right for tables of any size. And a statement that waits for a row for longer than `lock_wait_max_ms` fails; None:
    as any statement.
    """
    bound = None if lock_wait_max_ms is None else f"{lock_wait_max_ms}ms"
    await connection.execute(_BEGIN, {"source": source, "bound": bound})
