"""Questions that arrive while a call is under way share the next one."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from broadsheet_common.background.shared_calls import SharedCalls
from harness.waiting import eventually

NEVER_LATE_S = 3600.0
MAX_S = 30.0


class Source:
    """Answers a question with its double, when it is let go."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.let_go = asyncio.Event()
        self.hangs_once = False
        self.running = 0
        self.most_running = 0

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self.hangs_once:
                self.hangs_once = False
                await asyncio.Event().wait()
            await self.let_go.wait()
            if 0 in questions:
                raise ZeroDivisionError
            return [2 * one for one in questions]
        finally:
            self.running -= 1

    def shared(self, *, calls_max: int = 1, late_s: float = NEVER_LATE_S, size_max: int = 3) -> SharedCalls[int, int]:
        return SharedCalls(self, calls_max=calls_max, late_s=late_s, size_max=size_max)


@pytest.fixture
def source() -> Source:
    return Source()


def ask(calls: SharedCalls[int, int], *questions: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(calls.ask(one)) for one in questions]


async def test_the_first_goes_at_once_and_those_that_come_meanwhile_share_calls_of_bounded_size(source: Source) -> None:
    asked = ask(source.shared(), 1, 2, 3, 4, 5)
    await eventually(lambda: source.asked == [[1]])
    source.let_go.set()
    assert await asyncio.gather(*asked) == [2, 4, 6, 8, 10]
    assert source.asked == [[1], [2, 3, 4], [5]]
    assert source.most_running == 1


async def test_a_question_that_is_larger_than_a_call_may_be_goes_alone(source: Source) -> None:
    calls: SharedCalls[int, int] = SharedCalls(
        source, calls_max=1, late_s=NEVER_LATE_S, size_max=5, size_of=lambda one: one
    )
    source.let_go.set()
    assert await asyncio.gather(*ask(calls, 1, 2, 3, 9, 1, 1)) == [2, 4, 6, 18, 2, 2]
    assert source.asked == [[1], [2, 3], [9], [1, 1]]


async def test_what_a_call_raises_reaches_all_of_its_questions_and_no_others(source: Source) -> None:
    asked = ask(source.shared(), 1, 2, 0, 3, 4)
    source.let_go.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answers[0], answers[4]] == [2, 8]
    assert [type(answer) for answer in answers[1:4]] == [ZeroDivisionError] * 3


async def test_who_has_gone_is_not_asked_for_and_harms_nobody(source: Source) -> None:
    asked = ask(source.shared(), 1, 2, 3)
    await eventually(lambda: source.asked == [[1]])
    asked[0].cancel()
    asked[1].cancel()
    source.let_go.set()
    assert await asked[2] == 6
    assert source.asked == [[1], [3]]


async def test_a_call_that_hangs_keeps_no_others_from_being_made(source: Source) -> None:
    calls = source.shared(calls_max=2, late_s=0.0)
    source.hangs_once = True
    [hanging] = ask(calls, 1)
    await eventually(lambda: source.asked == [[1]])
    source.let_go.set()
    assert await asyncio.gather(*ask(calls, 2, 3)) == [4, 6]
    assert source.most_running == 2  # never more than may run, however late they are
    hanging.cancel()


async def test_who_asks_just_after_a_call_that_hangs_does_not_wait_for_somebody_else_to_ask(source: Source) -> None:
    calls = source.shared(calls_max=2, late_s=0.02)
    source.hangs_once = True
    source.let_go.set()
    hanging, asked = ask(calls, 1, 2)
    async with asyncio.timeout(MAX_S):
        assert await asked == 4
    assert source.asked == [[1], [2]]
    hanging.cancel()


async def test_a_call_is_nobodys_in_particular() -> None:
    whose: ContextVar[str] = ContextVar("whose", default="nobody")
    seen: list[str] = []

    async def look(questions: Sequence[int]) -> list[int]:
        seen.append(whose.get())
        return list(questions)

    calls: SharedCalls[int, int] = SharedCalls(look, calls_max=1, late_s=NEVER_LATE_S, size_max=1)

    async def ask_as(name: str, question: int) -> None:
        whose.set(name)
        await calls.ask(question)

    await asyncio.gather(ask_as("ada", 1), ask_as("bob", 2))
    assert seen == ["nobody", "nobody"]


async def test_nobody_waits_for_a_call_that_was_cancelled() -> None:
    async def cancelled(_: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    calls: SharedCalls[int, int] = SharedCalls(cancelled, calls_max=1, late_s=NEVER_LATE_S, size_max=3)
    [asked] = ask(calls, 1)
    with pytest.raises(asyncio.CancelledError):
        await asked
