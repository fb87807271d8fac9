"""Waiting for several things at once, with one error coming out as itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work (which has its own bounds) beside the loop; a cancellation takes effect at its end,
    so that nothing is ever started behind the back of the code that stops things.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


async def all_or_first_error(waits: Iterable[Awaitable[None]]) -> None:
    """Wait for all; the first failure cancels the others and is raised as it is, not in a group."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    if not tasks:
        return
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def first_of(work: Awaitable[Result], watch: Awaitable[None]) -> Result:
    """The result of `work`, unless `watch` ends (by raising) before; the other one is cancelled."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            await watching
        return await working
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})
