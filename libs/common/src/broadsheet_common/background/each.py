"""Run several jobs in one round; if one fails, the others still run."""

from collections.abc import Awaitable, Callable, Sequence

from broadsheet_common.process.database import may_be_the_items_fault


async def do_each(jobs: Sequence[Callable[[], Awaitable[int]]]) -> int:
    """Run all. Returns the sum of their results. Failures are raised at the end, several as a group.

    If the database is unavailable it stops at once: the others would fail too.
    """
    done = 0
    errors: list[Exception] = []
    for job in jobs:
        try:
            done += await job()
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("several jobs of a round failed", errors)
    return done
