"""Visitors who go on using the site during faults, and the answers they got."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from broadsheet_local.chaos.api import FAULT_MIN, Answer
from broadsheet_local.chaos.stage import Stage

AT_ONCE = 3
BETWEEN_S = 0.15
VISITS_MAX = 2_000
MAIL_MAX_S = 45.0


class Visitors:
    """`answers` counts statuses (None: no answer came); `slowest_s` is the longest anybody waited."""

    def __init__(self) -> None:
        self.answers: Counter[int | None] = Counter()
        self.slowest_s = 0.0
        self.faults: list[str] = []
        self.acknowledged: set[str] = set()
        self.successes = 0

    def saw(self, answer: Answer, what: str) -> None:
        self.answers[answer.status] += 1
        self.slowest_s = max(self.slowest_s, answer.seconds)
        if answer.succeeded:
            self.successes += 1
        elif answer.status is None or answer.status >= FAULT_MIN:
            self.faults.append(f"{what}: {answer}")


@asynccontextmanager
async def visiting(
    visitors: Visitors, visit: Callable[[int], Awaitable[None]], *, at_once: int = AT_ONCE
) -> AsyncIterator[Visitors]:
    """Call `visit` repeatedly, with a number that counts up, for as long as the block runs."""
    numbers = iter(range(1, VISITS_MAX + 1))

    async def one() -> None:
        for number in numbers:
            await visit(number)
            await asyncio.sleep(BETWEEN_S)

    tasks = [asyncio.create_task(one()) for _ in range(at_once)]
    try:
        yield visitors
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            with contextlib.suppress(asyncio.CancelledError):
                if isinstance(result, BaseException):
                    raise result


@asynccontextmanager
async def signing_up(stage: Stage) -> AsyncIterator[Visitors]:
    """People fill in the public form. At the end the log must show a mail for everybody whose form was acknowledged."""
    visitors = Visitors()
    slug = stage.slug()
    before = await stage.sandbox.messages()

    async def visit(number: int) -> None:
        email = f"visitor-{number}-{slug}@example.com"
        answer = await stage.api.sign_up(f"Visitor {number}", email)
        visitors.saw(answer, "sign-up")
        if answer.succeeded:
            visitors.acknowledged.add(email)

    async with visiting(visitors, visit):
        yield visitors
    missing: set[str] = set()

    async def all_got_mail() -> bool:
        got = {recipient async for one in stage.sandbox.accepted(after=before) for recipient in one.recipients}
        missing.clear()
        missing.update(visitors.acknowledged - got)
        return not missing

    stage.note(f"sign-ups were answered {dict(visitors.answers)}; {len(visitors.acknowledged)} acknowledged")
    if await stage.when(all_got_mail, within_s=MAIL_MAX_S) is None:
        stage.lost_acknowledged += len(missing)
        shown = ", ".join(sorted(missing)[:5])
        stage.expect(holds=False, otherwise=f"{len(missing)} acknowledged sign-ups got no confirmation mail: {shown}")


@asynccontextmanager
async def reading(stage: Stage, path: str) -> AsyncIterator[Visitors]:
    """A program that requests the same thing from the API repeatedly."""
    visitors = Visitors()

    async def visit(_: int) -> None:
        visitors.saw(await stage.api.request("GET", path), f"GET {path}")

    async with visiting(visitors, visit, at_once=2):
        yield visitors
    stage.note(f"GET {path} was answered {dict(visitors.answers)}, the slowest in {visitors.slowest_s:.2f} s")
