"""One service that does not answer: its own routes are refused at once, and everybody else's go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest
from litestar.di import Provide
from prometheus_client import CollectorRegistry, generate_latest

from broadsheet_common.contracts.identity import Identity, IdentityMinter
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.forwarding import service_guard
from broadsheet_gateway.forwarding.service_guard import GuardLimits, ServiceGuard, ServiceRefusedError, make_guards
from broadsheet_gateway.forwarding.transport import SentRequest, TransportError, UpstreamAnswer
from broadsheet_gateway.forwarding.upstreams import Upstreams
from harness.keys import identity_keys
from harness.waiting import eventually

from ..conftest import Answer, Gateway, MakeGateway

ISSUES, SUBSCRIBERS, SENDERS = "/api/v1/issues", "/api/v1/subscribers", "/api/v1/senders"
LONG_S = 60.0


class Hanging:
    """An answer that comes when it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked = 0

    async def __call__(self) -> Answer:
        self.asked += 1
        await self.let_go.wait()
        return Answer()


def metrics_of(gateway: Gateway) -> list[str]:
    text = generate_latest(gateway.app.state.server_metrics.registry).decode()
    return [line for line in text.splitlines() if line.startswith("gateway_upstream")]


class Clock:
    """The clock of a gateway's guards, which stands still until the test moves it."""

    def __init__(self, gateway: Gateway) -> None:
        self.now_s = 1000.0
        upstreams = cast("Provide", gateway.app.dependencies["upstreams"]).dependency()
        for guard in upstreams._guards.values():
            guard.monotonic_s = lambda: self.now_s


async def test_a_slow_service_trips_its_own_breaker_and_no_other(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(upstream_timeout_s=0.2, upstream_breaker_failures=3)
    clock = Clock(gateway)
    client = await gateway.api_client()
    hanging = Hanging()
    gateway.publishing.answers["GET", ISSUES] = hanging
    assert [(await client.get(ISSUES)).status_code for _ in range(3)] == [504, 504, 504]
    refused = await client.get(ISSUES)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["type"] == "urn:broadsheet:problem:unavailable"
    assert hanging.asked == 3  # the service was not bothered
    # Also for its other routes, and for pages; the other services' go on.
    assert (await client.get("/api/v1/newsletters")).status_code == 503
    assert (await client.get(SUBSCRIBERS)).status_code == 200
    assert (await client.get(SENDERS)).status_code == 200
    shown = metrics_of(gateway)
    assert 'gateway_upstream_breaker{service="publishing"} 2.0' in shown
    assert 'gateway_upstream_breaker{service="subscriptions"} 0.0' in shown
    assert 'gateway_upstream_refused_total{reason="open",service="publishing"} 2.0' in shown
    # A second later one call tries, in vain, and two seconds later one that is answered.
    clock.now_s += 1.0
    assert [(await client.get(ISSUES)).status_code for _ in range(2)] == [504, 503]
    hanging.let_go.set()
    clock.now_s += 2.0
    assert (await client.get(ISSUES)).status_code == 200
    assert (await client.get("/api/v1/newsletters")).status_code == 200
    assert 'gateway_upstream_breaker{service="publishing"} 0.0' in metrics_of(gateway)


async def test_a_service_that_cannot_be_reached_trips_it_too(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(upstream_breaker_failures=2)
    Clock(gateway)
    client = await gateway.api_client()
    gateway.publishing.fail("GET", ISSUES, httpx.ConnectError("refused"))
    assert [(await client.get(ISSUES)).status_code for _ in range(3)] == [503, 503, 503]
    assert (await client.get(ISSUES)).headers["retry-after"] == "1"
    # Each that was made tried twice, as a GET that never left may.
    assert len(gateway.publishing.received) == 4


async def test_errors_that_a_service_answers_with_do_not_trip_it(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(upstream_breaker_failures=1)
    client = await gateway.api_client()
    gateway.publishing.refuse("GET", ISSUES, 503, "unavailable")
    for _ in range(3):
        await client.get(ISSUES)
    gateway.publishing.answer("GET", ISSUES)
    assert (await client.get(ISSUES)).status_code == 200


async def test_calls_that_wait_for_a_service_are_bounded_and_more_are_refused_at_once(
    make_gateway: MakeGateway,
) -> None:
    gateway = await make_gateway(upstream_timeout_s=LONG_S, upstream_waiting_max=4)
    client = await gateway.api_client()
    hanging = Hanging()
    gateway.publishing.answers["GET", ISSUES] = hanging
    waiting = [asyncio.create_task(client.get(ISSUES)) for _ in range(4)]
    await eventually(lambda: hanging.asked == 4)
    refused = await client.get(ISSUES)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert hanging.asked == 4
    assert (await client.get(SUBSCRIBERS)).status_code == 200
    assert 'gateway_upstream_waiting{service="publishing"} 4.0' in metrics_of(gateway)
    hanging.let_go.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 4
    assert (await client.get(ISSUES)).status_code == 200


class FaultyTransport:
    """Raises an error for every request."""

    def __init__(self, error: TransportError) -> None:
        self.error = error

    async def send(self, _: SentRequest) -> UpstreamAnswer:
        raise self.error

    async def aclose(self) -> None:
        pass


def limits(**changes: int) -> GuardLimits:
    return GuardLimits(
        **{"connections_max": 10, "waiting_max": 10, "failures_max": 2, **changes},
        call_max_s=1.0,
    )


@pytest.mark.parametrize(
    ("error", "trips"),
    [
        (TransportError("no answer", is_timeout=True), False),
        (TransportError("the connection broke"), False),
        (TransportError("refused", was_never_sent=True), True),
    ],
)
async def test_an_upload_is_judged_only_when_the_service_could_not_be_reached(
    error: TransportError, trips: bool
) -> None:
    guards = make_guards({"subscriptions": None}, limits(), CollectorRegistry())
    upstreams = Upstreams(
        {"subscriptions": FaultyTransport(error)},
        guards=guards,
        minter=IdentityMinter(identity_keys()[0]),
        timeout_s=5.0,
    )

    async def body() -> AsyncIterator[bytes]:
        yield b"a piece"

    for _ in range(2):
        with pytest.raises(ProblemError):
            async with upstreams.send(
                "subscriptions",
                identity=Identity("key:1", frozenset()),
                method="POST",
                target="/api/v1/imports",
                headers={},
                body=body(),
                upload_s=LONG_S,
            ):
                pass
    guard = guards["subscriptions"]
    assert guard.breaker.state(guard.monotonic_s()) == ("open" if trips else "closed")
    assert guard.breaker.waiting == 0


async def test_who_waits_too_long_for_a_connection_is_refused_and_the_service_is_not_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_guard, "PLACE_TIMEOUT_S", 0.01)
    reasons: list[str] = []
    guard = ServiceGuard("delivery", limits(connections_max=1, failures_max=1), note_refusal=reasons.append)
    download = guard.place()
    await download.take()
    late = guard.place()
    with pytest.raises(ServiceRefusedError), guard.call():
        await late.take()
    late.give_back()
    assert reasons == ["waiting"]
    assert guard.breaker.state(guard.monotonic_s()) == "closed"
    assert guard.breaker.waiting == 0
    with pytest.raises(ServiceRefusedError):  # what was not taken is not given back
        await guard.place().take()
    download.give_back()
    await guard.place().take()


async def test_a_cancelled_call_gives_its_place_back(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(upstream_timeout_s=LONG_S, upstream_waiting_max=1, upstream_connections_max=1)
    client = await gateway.api_client()
    hanging = Hanging()
    gateway.publishing.answers["GET", ISSUES] = hanging
    task = asyncio.create_task(client.get(ISSUES))
    await eventually(lambda: hanging.asked == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gateway.publishing.answer("GET", ISSUES)
    assert (await client.get(ISSUES)).status_code == 200
