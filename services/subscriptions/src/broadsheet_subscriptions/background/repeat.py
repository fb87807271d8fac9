"""A background step, again and again for as long as the app runs."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

FAILURE_WAIT_S = 2.0

_log = structlog.get_logger()


async def repeat(step: Callable[[AsyncEngine], Awaitable[int]], engine: AsyncEngine, *, interval_s: float) -> NoReturn:
    """Until cancelled; a round that fails is logged and tried again. `step` answers how much it did."""
    while True:
        # Jittered, so that replicas started together do not stay together.
        wait_s = interval_s * random.uniform(0.75, 1.25)  # noqa: S311  # no secret
        name = step.__name__
        try:
            done = await step(engine)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.warning("subscriptions.background_step_failed", step=name, error=type(error).__name__)
            wait_s = max(wait_s, FAILURE_WAIT_S)
        else:
            if done:
                _log.info("subscriptions.background_step_done", step=name, count=done)
        await asyncio.sleep(wait_s)
