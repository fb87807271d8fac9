"""Webhooks that come together are committed together, and each is answered by its own commit."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import UnavailableError
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import Secret
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_gateway.webhooks import store_webhooks as module
from broadsheet_gateway.webhooks.store_webhooks import WebhookInbox
from harness.cluster import Database
from harness.waiting import eventually

from ..conftest import Gateway, MakeGateway, execute, inbox_blocked, until_lock_is_waited_for

PATH = "/webhooks/postmark"
USER, PASSWORD = "postmark", "webhook-password"
HEADERS = {"authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
BODY = '{"RecordType": "Delivery", "MessageID": "00000000-0000-0000-0000-000000000001"}'


@pytest.fixture(autouse=True)
def _empty(database: Database) -> None:
    execute(database.owner_url, "DELETE FROM delivery.provider_event_inbox")


@pytest.fixture
async def engine(settings: GatewaySettings) -> AsyncIterator[AsyncEngine]:
    """Of the test alone: others here break connections."""
    made = create_engine(settings.database_url, application_name="gateway-test", pool_size=2, timeout_s=10.0)
    yield made
    await made.dispose()


@pytest.fixture
async def door(make_gateway: MakeGateway) -> Gateway:
    return await make_gateway(postmark_webhook_user=USER, postmark_webhook_password=Secret(PASSWORD))


async def post_at_once(door: Gateway, bodies: list[str]) -> list[int]:
    client = await door.client(**HEADERS)
    answers = await asyncio.gather(*(client.post(PATH, content=body) for body in bodies))
    return [answer.status_code for answer in answers]


async def store_at_once(inbox: WebhookInbox, bodies: list[str]) -> list[BaseException | None]:
    return await asyncio.gather(*(inbox.store(body, size_bytes=len(body)) for body in bodies), return_exceptions=True)


def stored(database: Database) -> list[str]:
    return [body for (body,) in execute(database.owner_url, "SELECT body FROM delivery.provider_event_inbox")]


def events_a_transaction(database: Database) -> list[int]:
    rows = execute(
        database.owner_url,
        "SELECT count(*) FROM delivery.provider_event_inbox GROUP BY xmin::text ORDER BY min(id)",
    )
    return [count for (count,) in rows]


async def test_46_copies_at_once_are_each_answered_when_they_are_stored(door: Gateway, database: Database) -> None:
    assert await post_at_once(door, [BODY] * 46) == [200] * 46
    assert stored(database) == [BODY] * 46


async def test_what_comes_together_is_one_transaction(engine: AsyncEngine, database: Database) -> None:
    inbox = WebhookInbox(engine)
    bodies = [f'{{"N": {n}}}' for n in range(46)]
    async with inbox.running():
        assert await store_at_once(inbox, bodies) == [None] * 46
    assert events_a_transaction(database) == [46]
    assert stored(database) == bodies


async def test_what_comes_while_the_writers_rest_shares_a_transaction_and_one_alone_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine, database: Database
) -> None:
    monkeypatch.setattr(module, "REST_S", 2.0)
    inbox = WebhookInbox(engine)
    async with inbox.running():
        for _ in range(module.WRITERS):
            # Stored while another writer rests.
            await inbox.store(BODY, size_bytes=len(BODY))
        later = []
        for _ in range(20):
            later.append(asyncio.create_task(inbox.store(BODY, size_bytes=len(BODY))))
            await asyncio.sleep(0.001)
        await asyncio.gather(*later)
    assert events_a_transaction(database) == [1] * module.WRITERS + [20]


@pytest.mark.parametrize(
    ("bound", "value"), [("EVENTS_A_TRANSACTION_MAX", 10), ("BYTES_A_TRANSACTION_MAX", 10 * len(BODY))]
)
async def test_a_transaction_is_bounded(
    monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine, database: Database, bound: str, value: int
) -> None:
    monkeypatch.setattr(module, bound, value)
    inbox = WebhookInbox(engine)
    async with inbox.running():
        assert await store_at_once(inbox, [BODY] * 46) == [None] * 46
        assert sorted(events_a_transaction(database)) == [6, 10, 10, 10, 10]
        large = '"' + "x" * 11 * len(BODY) + '"'
        assert await store_at_once(inbox, [BODY, large, BODY]) == [None] * 3
    assert stored(database).count(large) == 1


@pytest.mark.parametrize(("bound", "value"), [("WAITING_EVENTS_MAX", 5), ("WAITING_BYTES_MAX", 5 * len(BODY))])
async def test_what_waits_is_bounded_and_the_rest_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine, database: Database, bound: str, value: int
) -> None:
    monkeypatch.setattr(module, bound, value)
    inbox = WebhookInbox(engine)
    async with inbox.running():
        results = await store_at_once(inbox, [BODY] * 8)
        assert [type(result) for result in results] == [type(None)] * 5 + [UnavailableError] * 3
        assert await store_at_once(inbox, [BODY] * 5) == [None] * 5
    assert len(stored(database)) == 10


async def test_one_that_cannot_be_stored_costs_the_others_nothing(door: Gateway, database: Database) -> None:
    bodies = [f'"event-{n}"' for n in range(20)]
    execute(
        database.owner_url,
        "ALTER TABLE delivery.provider_event_inbox ADD CONSTRAINT fault CHECK (body <> '\"event-7\"')",
    )
    try:
        assert await post_at_once(door, bodies) == [503 if n == 7 else 200 for n in range(20)]
        assert sorted(stored(database)) == sorted(set(bodies) - {bodies[7]})
    finally:
        execute(database.owner_url, "ALTER TABLE delivery.provider_event_inbox DROP CONSTRAINT fault")
    assert await post_at_once(door, [bodies[7]]) == [200]


async def test_with_the_database_away_each_is_asked_for_again_and_none_is_lost(
    door: Gateway, database: Database
) -> None:
    bodies = [f'{{"N": {n}}}' for n in range(30)]
    assert await post_at_once(door, bodies[:1]) == [200]
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            assert await post_at_once(door, bodies) == [503] * 30
        finally:
            owner.execute("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
    assert stored(database) == bodies[:1]
    assert await post_at_once(door, bodies) == [200] * 30
    assert Counter(stored(database)) == Counter([bodies[0], *bodies])


async def test_a_database_that_is_lost_under_way_is_answered_by_what_was_committed(
    door: Gateway, database: Database
) -> None:
    with inbox_blocked(database) as owner:
        posting = asyncio.create_task(post_at_once(door, [BODY] * 46))
        # Of those that wait for a lock, the ones that wait for this one: others of this database may, for a moment.
        lost = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE {owner.info.backend_pid} = ANY (pg_blocking_pids(pid))"
        )
        await eventually(lambda: execute(database.owner_url, lost) != [], what="a transaction waits and is lost")
    statuses = Counter(await posting)
    assert set(statuses) == {200, 503} or set(statuses) == {503}
    assert len(stored(database)) == statuses[200]


async def test_who_waits_too_long_is_told_to_come_again_and_the_door_goes_on(
    monkeypatch: pytest.MonkeyPatch, door: Gateway, database: Database
) -> None:
    monkeypatch.setattr(module, "WAIT_MAX_S", 0.2)
    with inbox_blocked(database):
        assert await post_at_once(door, [BODY] * 20) == [503] * 20
    monkeypatch.undo()
    assert await post_at_once(door, ['"after"']) == [200]
    # One that was given up may be stored all the same, by the other writer and after it.
    assert stored(database).count('"after"') == 1


async def test_what_waits_at_the_end_is_stored_before_it_ends(engine: AsyncEngine, database: Database) -> None:
    inbox = WebhookInbox(engine)
    async with inbox.running():
        storing = [asyncio.create_task(inbox.store(BODY, size_bytes=len(BODY))) for _ in range(46)]
        # One turn, in which each of them comes.
        await asyncio.sleep(0)
    assert await asyncio.gather(*storing) == [None] * 46
    assert len(stored(database)) == 46
    with pytest.raises(UnavailableError):
        await inbox.store(BODY, size_bytes=len(BODY))


async def test_what_cannot_be_stored_before_the_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine, database: Database
) -> None:
    monkeypatch.setattr(module, "CLOSE_MAX_S", 0.1)
    monkeypatch.setattr(module, "EVENTS_A_TRANSACTION_MAX", 5)
    inbox = WebhookInbox(engine)
    with inbox_blocked(database):
        async with inbox.running():
            storing = asyncio.create_task(store_at_once(inbox, [BODY] * 46))
            await until_lock_is_waited_for(database)
        assert [type(result) for result in await storing] == [UnavailableError] * 46
    assert stored(database) == []
