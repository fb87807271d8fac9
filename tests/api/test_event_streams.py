"""Streams of events from a real delivery service, over sockets and through a real gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
import pytest

from broadsheet_common.process.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_delivery.app import create_app as create_delivery_app
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_gateway.forwarding import forward_stream
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivery_settings
from harness.http.served_app import serving_app
from harness.keys import SECOND_FACTOR_KEYS, identity_keys
from harness.seeding import Seed
from harness.system import PASSWORD, USERNAME, make_author
from harness.waiting import eventually

READ_S = 30.0


class Event(msgspec.Struct, frozen=True):
    """`data` decoded; of a block without data (a `retry`, a heart-beat) the text alone."""

    text: str
    id: str | None = None
    name: str | None = None
    data: Any = None


class Stream:
    """An answer's events, as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._blocks = self._read()

    async def _read(self) -> AsyncIterator[Event]:
        kept = ""
        async for piece in self.answer.aiter_text():
            *blocks, kept = (kept + piece).split("\n\n")
            for block in blocks:
                fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
                data = msgspec.json.decode(fields["data"]) if "data" in fields else None
                yield Event(block, fields.get("id"), fields.get("event"), data)
        assert kept == ""

    async def next(self) -> Event:
        async with asyncio.timeout(READ_S):
            return await anext(self._blocks)

    async def next_data(self) -> Event:
        while (event := await self.next()).data is None:
            pass
        return event

    async def rest(self) -> list[Event]:
        async with asyncio.timeout(READ_S):
            return [event async for event in self._blocks]


class Door(msgspec.Struct, frozen=True):
    gateway_url: str
    delivery_url: str
    api_key: str
    seed: Seed

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[Stream]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        authorization = {"authorization": f"Bearer {self.api_key}"}
        async with (
            httpx.AsyncClient(base_url=self.gateway_url, headers=authorization, timeout=READ_S) as client,
            client.stream("GET", path, headers=named) as answer,
        ):
            yield Stream(answer)

    async def open_streams(self) -> int:
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{self.delivery_url}/metrics")).text
        [line] = [line for line in metrics.splitlines() if line.startswith("delivery_event_streams ")]
        return int(float(line.split()[1]))


@pytest.fixture
async def api_key(database: Database) -> str:
    return await make_author(database)


@pytest.fixture
def opened(database: Database, redis_url: str, sandbox: RunningSandbox, seed: Seed, api_key: str) -> Iterator[Any]:
    """Opens a delivery service and a gateway before it, with some of their settings changed."""
    with ExitStack() as stack:

        def open_door(*, delivery: dict[str, Any] | None = None, **gateway: Any) -> Door:
            settings = delivery_settings(database, sandbox.base_url, sandbox.token, **(delivery or {}))
            port = stack.enter_context(serving_app(create_delivery_app(settings, sends=False)))
            delivery_url = f"http://127.0.0.1:{port}"
            gateway_settings = GatewaySettings(
                broadsheet_env="local",
                bind_port=1,
                database_url=PostgresUrl.parse(database.url_for("gateway")),
                public_url=HttpUrl.parse("http://127.0.0.1:8081"),
                redis_url=RedisUrl.parse(redis_url),
                subscriptions_url=HttpUrl.parse("http://127.0.0.1:1"),
                publishing_url=HttpUrl.parse("http://127.0.0.1:1"),
                delivery_url=HttpUrl.parse(delivery_url),
                identity_private_key=Secret(identity_keys()[0]),
                second_factor_keys=SECOND_FACTOR_KEYS,
                redis_timeout_s=5.0,
                api_key_cache_s=0.01,
            )
            app = create_gateway_app(msgspec.structs.replace(gateway_settings, **gateway))
            url = f"http://127.0.0.1:{stack.enter_context(serving_app(app))}"
            return Door(url, delivery_url, api_key, seed)

        yield open_door


@contextmanager
def rights_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setattr(forward_stream, "RIGHTS_CHECK_INTERVAL_S", 0.05)
        yield


async def test_an_issue_is_watched_through_the_gateway_until_it_is_sent(
    opened: Callable[..., Door], seed: Seed, delivery: Delivering
) -> None:
    door = opened()
    issue_id = seed.published_issue(seed.subscribers(700), title="The first")
    async with door.stream(f"/api/v1/issues/{issue_id}/events") as stream:
        assert stream.answer.status_code == 200
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert (await stream.next()).text == "retry: 2000"
        # Each comes while the stream is open: nothing on the way waits for its end.
        first = await stream.next_data()
        assert (first.name, first.data["title"], first.data["status"]) == ("issue", "The first", "sending")
        assert first.data["counts"] == {**dict.fromkeys(first.data["counts"], 0), "audience": 700, "pending": 700}
        await delivery.send_one_chunk()
        second = await stream.next_data()
        assert second.data["counts"]["accepted"] == 500
        await delivery.send_all_due()
        rest = await stream.rest()
    last = rest[-1]
    assert (last.data["status"], last.data["counts"]["accepted"], last.data["is_final"]) == ("sent", 700, True)
    assert len({event.id for event in (first, second, last)}) == 3
    async with door.stream(f"/api/v1/issues/{issue_id}/events", last_event_id=last.id or "") as again:
        assert again.answer.status_code == 204
    async with door.stream(f"/api/v1/issues/{issue_id}/events") as anew:
        assert [event.data for event in await anew.rest()][-1] == last.data


async def test_a_client_that_comes_back_gets_only_what_it_has_missed(
    opened: Callable[..., Door], seed: Seed, delivery: Delivering
) -> None:
    door = opened()
    issue_id = seed.published_issue(seed.subscribers(700))
    path = f"/api/v1/issues/{issue_id}/events"
    async with door.stream(path) as stream:
        first = await stream.next_data()
    async with door.stream(path, last_event_id=first.id or "") as stream:
        await stream.next()
        await delivery.send_one_chunk()
        assert (await stream.next_data()).data["counts"]["accepted"] == 500
    async with door.stream(path, last_event_id=first.id or "") as stream:
        assert (await stream.next_data()).data["counts"]["accepted"] == 500


async def test_the_dashboard_tells_of_a_pause_and_of_its_reason(opened: Callable[..., Door], seed: Seed) -> None:
    door = opened()
    issue_id = seed.published_issue(seed.subscribers(2))
    async with door.stream("/api/v1/events") as stream:
        before = await stream.next_data()
        assert before.name == "dashboard"
        assert [issue["issue_id"] for issue in before.data["issues"]] == [issue_id]
        assert before.data["sending"]["state"] == "running"
        seed.execute("UPDATE delivery.sending_state SET paused_at = now(), pause_reason = 'Token refused'")
        after = await stream.next_data()
    assert (after.data["sending"]["state"], after.data["sending"]["reason"]) == ("paused", "Token refused")


async def test_a_client_that_goes_frees_its_places_everywhere(opened: Callable[..., Door], seed: Seed) -> None:
    door = opened(event_streams_max=1)
    issue_id = seed.published_issue(seed.subscribers(2))
    for _ in range(3):

        async def has_place() -> bool:
            async with door.stream(f"/api/v1/issues/{issue_id}/events") as stream:
                if stream.answer.status_code == 503:
                    return False
                await stream.next_data()
                assert await door.open_streams() == 1
                return True

        await eventually(has_place, what="the only place at the gateway is free again")

    async def all_are_free() -> bool:
        return await door.open_streams() == 0

    await eventually(all_are_free, what="the service has no stream left")


async def test_too_many_streams_are_refused_at_the_gateway_and_for_each_caller(
    opened: Callable[..., Door], seed: Seed
) -> None:
    door = opened(delivery={"delivery_streams_per_caller_max": 1}, event_streams_max=2)
    async with door.stream("/api/v1/events") as first:
        await first.next_data()
        async with door.stream("/api/v1/events") as second:
            assert second.answer.status_code == 429
            assert int(second.answer.headers["retry-after"]) > 0
            assert msgspec.json.decode(await second.answer.aread())["type"].endswith(":too-many-streams")
    door = opened(event_streams_max=1)
    async with door.stream("/api/v1/events") as first:
        await first.next_data()
        async with door.stream("/api/v1/events") as second:
            assert second.answer.status_code == 503
            assert int(second.answer.headers["retry-after"]) > 0
            assert msgspec.json.decode(await second.answer.aread())["type"].endswith(":streams-full")


async def test_the_service_takes_no_more_streams_than_it_serves(opened: Callable[..., Door]) -> None:
    door = opened(delivery={"delivery_streams_max": 1})
    async with door.stream("/api/v1/events") as first:
        await first.next_data()
        async with door.stream("/api/v1/events") as second:
            assert second.answer.status_code == 503


async def test_a_revoked_key_stops_seeing(
    opened: Callable[..., Door], seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = opened()
    issue_id = seed.published_issue(seed.subscribers(2))
    with rights_checked_at_once(monkeypatch):
        async with door.stream(f"/api/v1/issues/{issue_id}/events") as stream:
            await stream.next_data()
            seed.execute("UPDATE gateway.api_key SET revoked_at = now()")
            rest = await stream.rest()
    # In order: with the time to come back, and then it is told why.
    assert rest[-1].text.startswith("retry: ")
    assert [event.data for event in rest if event.data] == []
    async with door.stream(f"/api/v1/issues/{issue_id}/events") as refused:
        assert refused.answer.status_code == 401


async def test_an_ended_session_stops_seeing(
    opened: Callable[..., Door], seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = opened()
    with rights_checked_at_once(monkeypatch):
        async with httpx.AsyncClient(base_url=door.gateway_url, timeout=READ_S) as browser:
            signed_in = await browser.post("/login", data={"username": USERNAME, "password": PASSWORD})
            assert signed_in.status_code == 303
            async with browser.stream("GET", "/api/v1/events") as answer:
                assert answer.status_code == 200
                stream = Stream(answer)
                await stream.next_data()
                # Another browser changed the password, which ends every session.
                seed.execute("UPDATE gateway.user_account SET password_changed_at = clock_timestamp()")
                assert (await stream.rest())[-1].text.startswith("retry: ")
            assert (await browser.get("/api/v1/events")).status_code == 401


async def test_a_key_with_other_rights_than_before_must_come_back(
    opened: Callable[..., Door], seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = opened()
    with rights_checked_at_once(monkeypatch):
        async with door.stream("/api/v1/events") as stream:
            await stream.next_data()
            seed.execute("UPDATE gateway.api_key SET scopes = '{write}'")
            assert (await stream.rest())[-1].text.startswith("retry: ")
    async with door.stream("/api/v1/events") as refused:
        assert refused.answer.status_code == 403


async def test_a_stream_ends_when_its_time_is_over_and_goes_on_at_the_next(opened: Callable[..., Door]) -> None:
    door = opened(delivery={"delivery_stream_max_s": 0.2})
    async with door.stream("/api/v1/events") as stream:
        events = await stream.rest()
    assert events[-1].text.startswith("retry: ")
    last_id = next(event.id for event in events if event.id)
    async with door.stream("/api/v1/events", last_event_id=last_id) as stream:
        assert [event.data for event in await stream.rest() if event.data] == []


async def test_an_unknown_issue_a_missing_credential_and_head_are_answered_at_once(
    opened: Callable[..., Door], seed: Seed
) -> None:
    door = opened()
    async with door.stream("/api/v1/issues/987654/events") as stream:
        assert stream.answer.status_code == 404
        assert stream.answer.headers["content-type"] == "application/problem+json"
    async with httpx.AsyncClient(base_url=door.gateway_url) as nobody:
        assert (await nobody.get("/api/v1/events")).status_code == 401
        named = {"authorization": f"Bearer {door.api_key}"}
        head = await nobody.head("/api/v1/events", headers=named)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert (await nobody.post("/api/v1/events", headers=named)).headers["allow"] == "GET, HEAD, OPTIONS"

    async def none_is_open() -> bool:
        return await door.open_streams() == 0

    await eventually(none_is_open)


async def test_the_document_shows_what_the_data_of_an_event_is(opened: Callable[..., Door]) -> None:
    door = opened()
    async with httpx.AsyncClient(base_url=door.gateway_url) as client:
        document = (await client.get("/openapi.json", timeout=READ_S)).json()
    for path, shown in (("/api/v1/issues/{issue_id}/events", "counts"), ("/api/v1/events", "sending")):
        operation = document["paths"][path]["get"]
        schema = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        assert shown in document["components"]["schemas"][name]["properties"]
        assert {"429", "503"} <= operation["responses"].keys()
        assert "Last-Event-ID" in {parameter["name"] for parameter in operation["parameters"]}
