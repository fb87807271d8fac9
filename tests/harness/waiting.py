"""Waiting for something to become true, with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, within_s: float = 15.0, what: str = ""
) -> None:
    """Poll `condition` until it is true; fails with `what` after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if await result if isinstance(result, Awaitable) else result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}")
        await asyncio.sleep(0.02)
