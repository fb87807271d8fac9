"""Check a stream when it is set. Delivery alone can ask Postmark: it is asked to, and its answer is waited for."""

import asyncio
import math
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.queue import request_stream_check
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.stream_check import NOT_ASKED, StreamCheck

_LOOK_S: Final = 0.1


class StreamChecker:
    """`wait_s`: how long the answer to a request is waited for; no transaction is open meanwhile."""

    def __init__(self, engine: AsyncEngine, *, wait_s: float) -> None:
        self._engine = engine
        self._looks = math.ceil(wait_s / _LOOK_S)

    async def check(self, stream: str, handling: str) -> StreamCheck:
        """A stream that fitted within the last minutes fits. Otherwise Postmark is asked anew, because the author may
        have changed it there; if there is no answer in time, what is known from these minutes counts.
        """
        async with self._engine.begin() as connection:
            found = await store.find_stream_check(connection, stream, handling)
            if found is not None and found.is_recent and found.check.state == "ok":
                return found.check
            await request_stream_check(connection, stream=stream, handling=handling)
        for _ in range(self._looks):
            await asyncio.sleep(_LOOK_S)
            async with self._engine.connect() as connection:
                found = await store.find_stream_check(connection, stream, handling)
            if found is not None and found.is_answered:
                return found.check
        return found.check if found is not None and found.is_recent else NOT_ASKED
