"""Questions that arrive while calls are under way share the next call.

For calls (to a database, to Redis) that cost nearly the same for one question as for several. A question that comes
while no call is under way is asked at once, alone, so nobody waits for company. A call that hangs, on a broken
connection say, keeps no others from being made.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_TIMER_SLACK_S: Final = 0.001
"""A timer may fire a little early, by the clock's resolution."""


class SharedCalls(Generic[Question, Answer]):
    """Whoever asks waits in a coroutine of their own, so as many wait as requests are served. How long is up to `call`,
    which bounds itself: a question waits for the calls under way, and for those before its own.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        *,
        calls_max: int,
        late_s: float,
        size_max: int,
        size_of: Callable[[Question], int] = lambda _: 1,
    ) -> None:
        """`call` gives one answer a question, in order; what it raises, all of its questions get. A call has questions
        of `size_max` in all, or a single larger one. Questions wait for the call under way, unless that takes longer
        than `late_s`; at most `calls_max` run at once.
        """
        self._call = call
        self._calls_max = calls_max
        self._late_s = late_s
        self._size_max = size_max
        self._size_of = size_of
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._calls: dict[asyncio.Task[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        # Not that of whoever asks first: their ids do not belong on the log lines of the others.
        self._context = contextvars.copy_context()

    async def ask(self, question: Question) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answered))
        self._begin_calls()
        return await answered

    def _begin_calls(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._may_begin(now_s) and (batch := self._take()):
            call = asyncio.create_task(self._answer(batch), context=self._context.copy())
            self._calls[call] = now_s
            call.add_done_callback(self._end_call)
        if self._waiting and self._timer is None and len(self._calls) < self._calls_max:
            # The call under way may hang, and nobody else may ask.
            self._timer = asyncio.get_running_loop().call_later(self._late_s + _TIMER_SLACK_S, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._begin_calls()

    def _may_begin(self, now_s: float) -> bool:
        if len(self._calls) >= self._calls_max:
            return False
        return all(now_s - began_s > self._late_s for began_s in self._calls.values())

    def _end_call(self, call: asyncio.Task[None]) -> None:
        del self._calls[call]
        self._begin_calls()

    def _take(self) -> list[tuple[Question, asyncio.Future[Answer]]]:
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        size = 0
        while self._waiting:
            question, answered = self._waiting[0]
            size += self._size_of(question)
            if batch and size > self._size_max:
                break
            self._waiting.popleft()
            if answered.done():  # whoever asked has gone
                size -= self._size_of(question)
            else:
                batch.append((question, answered))
        return batch

    async def _answer(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._call([question for question, _ in batch])
            for (_, answered), answer in zip(batch, answers, strict=True):
                if not answered.done():
                    answered.set_result(answer)
        except Exception as error:  # noqa: BLE001  # raised again by everybody who waits for this call
            for _, answered in batch:
                if not answered.done():
                    answered.set_exception(error)
        finally:
            # If this was cancelled: nobody waits for nothing.
            for _, answered in batch:
                answered.cancel()
