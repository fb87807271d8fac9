"""Waiting for something to become true, with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, within_s: float = 30.0, what: str = ""
) -> None:
    """Poll `condition` until it is true; fails with `what` after `within_s`.

    A condition that blocks the event loop leaves it twice as long to everything else.
    """
    deadline = time.monotonic() + within_s
    while True:
        began = time.monotonic()
        result = condition()
        blocked_s = time.monotonic() - began
        if await result if isinstance(result, Awaitable) else result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}")
        await asyncio.sleep(max(0.02, 2 * blocked_s))
