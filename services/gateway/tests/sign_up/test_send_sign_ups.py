"""Sign-ups that arrive while a call is under way share the next one, and each is answered by its own result."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
import uvloop

from broadsheet_common.http.problems import Problem, ProblemError, UnavailableError
from broadsheet_common.process.tracing import enter_trace, start_trace
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.sign_up import send_sign_ups as module
from broadsheet_gateway.sign_up.send_sign_ups import SignUpForm, SignUpSender

OK: dict[str, Any] = {"status": 202}
SINGLE, BATCH = "/public/subscriptions", "/public/subscriptions/batch"


class Service:
    """Subscriptions, as the sender sees it: each call waits until it is let go, and is answered by `judge`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.bodies: list[Any] = []
        self.gate = asyncio.Event()
        self.judge: Callable[[str], dict[str, Any]] = lambda _: OK
        self.failure: Exception | None = None
        self.results_missing = 0

    async def call(self, _service: str, _method: str, path: str, *, body: object, answer: Any, **_: object) -> Any:
        told = msgspec.to_builtins(body)
        items = told["items"] if path == BATCH else [told]
        self.calls.append((path, [one["email"] for one in items]))
        self.bodies += items
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        results = [self.judge(one["email"]) for one in items]
        if path == SINGLE:
            if "problem" in results[0]:
                raise UpstreamRefusalError(results[0]["status"], msgspec.convert(results[0]["problem"], Problem), {})
            return {}
        return msgspec.convert({"items": results[self.results_missing :]}, answer)


class Visitors:
    """Sign-ups under way. `done`: what became of each."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sender = SignUpSender(cast("Upstreams", service))
        self._tasks: list[asyncio.Task[None]] = []

    async def arrive(self, *emails: str) -> None:
        """Each with its address as its mailbox; all are with the sender when this returns."""
        for email in emails:
            form = SignUpForm(email=email, name="Reader", newsletter=None, wording_version=1, visitor={})
            self._tasks.append(asyncio.create_task(self.sender.send(form, mailbox=email)))
        for _ in range(5):
            await asyncio.sleep(0)

    async def done(self) -> list[Any]:
        self.service.gate.set()
        return await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def visitors() -> Visitors:
    return Visitors(Service())


def refusal(pointer: str) -> dict[str, Any]:
    problem = {"type": "urn:broadsheet:problem:invalid-input", "title": "Not valid", "status": 422}
    return {"status": 422, "problem": problem | {"errors": [{"pointer": pointer, "detail": "No."}]}}


async def test_one_alone_goes_at_once_and_by_itself(visitors: Visitors) -> None:
    await visitors.arrive("a")
    assert visitors.service.calls == [(SINGLE, ["a"])]
    assert await visitors.done() == [None]


async def test_those_that_arrive_during_a_call_share_the_next(visitors: Visitors) -> None:
    await visitors.arrive("a")
    await visitors.arrive("b", "c")
    await visitors.arrive("d")
    assert visitors.service.calls == [(SINGLE, ["a"])]
    assert await visitors.done() == [None] * 4
    assert visitors.service.calls[1:] == [(BATCH, ["b", "c", "d"])]


async def test_each_is_answered_by_its_own_result(visitors: Visitors) -> None:
    internal = {"type": "urn:broadsheet:problem:internal", "title": "Something went wrong", "status": 500}
    away = {"type": "urn:broadsheet:problem:unavailable", "title": "Away", "status": 503}
    visitors.service.judge = {
        "first": OK, "fine": OK, "bad": refusal("/email"), "bug": {"status": 500, "problem": internal},
        "away": {"status": 503, "problem": away}, "last": OK,
    }.__getitem__  # fmt: skip
    await visitors.arrive("first", "fine", "bad", "bug", "away", "last")
    first, fine, bad, bug, away_error, last = await visitors.done()
    assert (first, fine, last) == (None, None, None)
    assert isinstance(bad, UpstreamRefusalError)
    assert (bad.status, bad.problem.errors[0].pointer) == (422, "/email")
    assert isinstance(bug, UnavailableError)
    assert isinstance(away_error, UnavailableError)


async def test_one_alone_that_is_refused_is_told_why(visitors: Visitors) -> None:
    visitors.service.judge = lambda _: refusal("/name")
    await visitors.arrive("a")
    [error] = await visitors.done()
    assert isinstance(error, UpstreamRefusalError)
    assert error.problem.errors[0].pointer == "/name"


async def test_two_of_one_mailbox_are_not_in_one_call_and_hold_nobody_up(visitors: Visitors) -> None:
    await visitors.arrive("first")
    await visitors.arrive("ada", "ada", "bob", "ada")
    assert await visitors.done() == [None] * 5
    assert visitors.service.calls[1:] == [(BATCH, ["ada", "bob"]), (SINGLE, ["ada"]), (SINGLE, ["ada"])]


async def test_a_call_that_is_not_answered_holds_nobody_up(visitors: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.0)
    await visitors.arrive("a")
    await visitors.arrive("b")
    assert visitors.service.calls == [(SINGLE, ["a"]), (SINGLE, ["b"])]
    assert await visitors.done() == [None] * 2


async def test_a_second_call_begins_when_many_wait_but_never_more_than_the_bound(visitors: Visitors) -> None:
    await visitors.arrive("first")
    await visitors.arrive(*(f"a{number}" for number in range(module.MANY * 10)))
    assert len(visitors.service.calls) == module.CALLS_MAX
    assert all(len(emails) <= module.SIGN_UPS_A_CALL_MAX for _, emails in visitors.service.calls)
    assert await visitors.done() == [None] * (module.MANY * 10 + 1)
    sent = [email for _, emails in visitors.service.calls for email in emails]
    assert len(sent) == len(set(sent)) == module.MANY * 10 + 1


async def test_more_than_may_wait_are_told_to_come_again(visitors: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    await visitors.arrive("a")
    await visitors.arrive("b", "c", "d")
    outcomes = await visitors.done()
    assert outcomes[:3] == [None] * 3
    assert isinstance(outcomes[3], UnavailableError)
    assert outcomes[3].headers == {"Retry-After": "5"}


async def test_a_large_one_goes_alone(visitors: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_A_CALL_MAX", 1_000)
    await visitors.arrive("first")
    await visitors.arrive("a", "b" * 2_000, "c")
    assert await visitors.done() == [None] * 4
    assert [emails for _, emails in visitors.service.calls[1:]] == [["a"], ["b" * 2_000], ["c"]]


@pytest.mark.parametrize("failure", [UnavailableError(), RuntimeError("a fault of ours")])
async def test_when_a_call_fails_nobody_is_left_waiting_or_told_that_it_worked(
    visitors: Visitors, failure: Exception
) -> None:
    visitors.service.failure = failure
    await visitors.arrive("a")
    await visitors.arrive("b", "c")
    assert [type(outcome) for outcome in await visitors.done()] == [UnavailableError] * 3


async def test_a_refusal_of_the_whole_call_is_no_fault_of_those_in_it(visitors: Visitors) -> None:
    problem = Problem(type="urn:broadsheet:problem:malformed-request", title="No", status=400)
    await visitors.arrive("a")
    await visitors.arrive("b", "c")
    visitors.service.failure = UpstreamRefusalError(400, problem, {})
    assert [type(outcome) for outcome in await visitors.done()][1:] == [UnavailableError] * 2


async def test_an_answer_with_too_few_results_is_not_believed(visitors: Visitors) -> None:
    visitors.service.results_missing = 1
    await visitors.arrive("a")
    await visitors.arrive("b", "c")
    outcomes = await visitors.done()
    assert outcomes[0] is None
    assert all(isinstance(outcome, ProblemError) for outcome in outcomes[1:])


async def test_whoever_has_left_is_not_sent_if_their_turn_has_not_come(visitors: Visitors) -> None:
    await visitors.arrive("a")
    await visitors.arrive("gone", "b", "c")
    visitors._tasks[1].cancel()
    await asyncio.sleep(0)
    await visitors.done()
    assert visitors.service.calls[1:] == [(BATCH, ["b", "c"])]


async def test_each_carries_its_own_trace(visitors: Visitors) -> None:
    traces = []
    await visitors.arrive("a")
    for email in ("b", "c"):
        traces.append(start_trace(None, None))
        enter_trace(traces[-1])
        await visitors.arrive(email)
    await visitors.done()
    assert [body["traceparent"] for body in visitors.service.bodies[1:]] == [trace.traceparent for trace in traces]


def test_a_moment_that_is_nearly_there_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop, which services run on, gives a handle without its moment for less than half a millisecond."""
    monkeypatch.setattr(module, "PACE_S", 0.0004)
    monkeypatch.setattr(module, "SLOW_S", 0.0004)

    async def arriving() -> list[Any]:
        visitors = Visitors(Service())
        visitors.service.gate.set()
        for number in range(50):
            await visitors.arrive(*(f"{number}-{place}@example.com" for place in range(5)))
        return await visitors.done()

    assert uvloop.run(arriving()) == [None] * 250
