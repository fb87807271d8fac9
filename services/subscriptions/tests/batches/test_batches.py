"""Batches of creations and changes, on a real database."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from httpx import Response

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_common.http.idempotency import fingerprint
from broadsheet_subscriptions.batches import write_batch as module
from broadsheet_subscriptions.batches.api import BODY_MAX_BYTES, ITEMS_MAX
from broadsheet_subscriptions.batches.kept_answers import Repeatable, keep_chunk
from broadsheet_subscriptions.batches.write_batch import CHUNK_ITEMS, Batch
from broadsheet_subscriptions.sign_up.confirmation_token import random_token
from broadsheet_subscriptions.sign_up.store import MailBounds
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy
from harness.cluster import Database
from harness.keys import ERASURE_KEYS, identity_keys
from harness.owner import AUDIT_LOG

from ..conftest import PUBLIC_URL, Subscriptions, engine_for

PATH = "/api/v1/subscribers/batch"
POLICY = ConfirmationPolicy(
    public_url=PUBLIC_URL,
    lifetime=timedelta(days=1),
    bounds=MailBounds(cool_down=timedelta(minutes=1), mailbox_mails_max=10, mailbox_window=timedelta(days=1)),
    token_source=random_token,
    address_hasher=AddressHasher.parse(ERASURE_KEYS.reveal()),
)


def create(email: str, name: str = "Reader", **more: object) -> dict[str, Any]:
    return {"create": {"email": email, "name": name, **more}}


def change(subscriber_id: int, **more: object) -> dict[str, Any]:
    return {"change": {"id": subscriber_id, **more}}


def several(count: int) -> list[dict[str, Any]]:
    return [create(f"reader-{number:04}@example.com") for number in range(count)]


async def ask(subscriptions: Subscriptions, items: list[Any], *, key: str | None = None) -> Response:
    return await subscriptions.post("/batch", {"items": items}, key=key)


async def results(subscriptions: Subscriptions, *items: Any, key: str | None = None) -> list[dict[str, Any]]:
    response = await ask(subscriptions, list(items), key=key)
    assert response.status_code == 200, response.text
    body = response.json()
    assert [one["index"] for one in body["items"]] == list(range(len(items)))
    assert body["refused"] == sum(one["status"] >= 400 for one in body["items"])
    for one in body["items"]:
        assert (one["subscriber"] is None) == (one["status"] >= 400) == (one["problem"] is not None)
    found: list[dict[str, Any]] = body["items"]
    return found


def statuses(found: list[dict[str, Any]]) -> list[int]:
    return [one["status"] for one in found]


def pointers(found: list[dict[str, Any]]) -> list[list[str]]:
    return [[error["pointer"] for error in (one["problem"] or {}).get("errors", [])] for one in found]


@pytest.fixture
def holding(subscriptions: Subscriptions) -> Iterator[psycopg.Connection]:
    """Another transaction, open until the test ends."""
    with psycopg.connect(subscriptions.owner_url) as connection:
        yield connection
        connection.rollback()


async def test_each_item_has_its_result_in_the_order_sent(subscriptions: Subscriptions) -> None:
    known = (await subscriptions.post("", create("known@example.com")["create"])).json()
    found = await results(
        subscriptions,
        create("zoe@example.com", "Zoe", tags=["member"]),
        change(known["id"], name="Known"),
        create("known@example.com", "Other"),
        create("ada@example.com"),
    )
    assert statuses(found) == [201, 200, 200, 201]
    shown = [(one["subscriber"]["email"], one["subscriber"]["name"]) for one in found]
    assert shown == [
        ("zoe@example.com", "Zoe"),
        ("known@example.com", "Known"),
        ("known@example.com", "Known"),
        ("ada@example.com", "Reader"),
    ]
    for one in found:
        now = await subscriptions.get(f"/{one['subscriber']['id']}")
        assert (now.json(), now.headers["etag"]) == (one["subscriber"], one["etag"])


async def test_a_thousand_are_taken_and_no_more_and_not_none(subscriptions: Subscriptions) -> None:
    found = await results(subscriptions, *several(ITEMS_MAX))
    assert statuses(found) == [201] * ITEMS_MAX
    assert len(subscriptions.mails()) == ITEMS_MAX
    assert (await ask(subscriptions, several(ITEMS_MAX + 1))).status_code == 400
    assert (await ask(subscriptions, [])).status_code == 400


async def test_a_body_of_more_than_4_mb_is_refused(subscriptions: Subscriptions) -> None:
    response = await ask(subscriptions, [create("ada@example.com", name="x" * BODY_MAX_BYTES)])
    assert (response.status_code, response.json()["type"]) == (413, "urn:broadsheet:problem:request-entity-too-large")


@pytest.mark.parametrize("body", [[], "text", None, {"items": {}}, {"items": [1], "more": 1}, {"items": [], "a\0": 1}])
async def test_what_is_no_batch_is_refused_as_a_whole(subscriptions: Subscriptions, body: object) -> None:
    assert (await subscriptions.post("/batch", body)).status_code in {400, 422}


async def test_a_chunk_is_one_transaction(subscriptions: Subscriptions) -> None:
    await results(subscriptions, *several(2 * CHUNK_ITEMS + 1))
    for table in ("subscriptions.subscriber", "subscriptions.consent_event", "audit.waiting"):
        [(rows, transactions)] = subscriptions.rows(f"SELECT count(*), count(DISTINCT xmin::text) FROM {table}")
        assert (rows, transactions) == (2 * CHUNK_ITEMS + 1, 3), table


async def test_a_faulty_item_is_refused_alone_with_pointers_within_it(subscriptions: Subscriptions) -> None:
    await subscriptions.api("POST", "attributes", {"name": "age", "type": "number", "label": "Age"})
    found = await results(
        subscriptions,
        create("first@example.com"),
        create("no address", name=""),
        create("bidi@example.com", name="\u202eevil"),
        create("nul@example.com", name="a\0b"),
        create("long@example.com", name="x" * 100_000),
        create("unknown@example.com", newsletter_id=77),
        create("more@example.com", colour="red"),
        create("age@example.com", attributes={"age": "old", "size": 1}),
        create("tags@example.com", tags=["good", ""]),
        "no object",
        {},
        {"create": None},
        {"create": create("a@example.com")["create"], "change": {"id": 1}},
        {"create": {"email": "nameless@example.com"}},
        change(77, name="Nobody"),
        {"change": {"id": "text"}},
        {"change": {"name": "Nobody"}},
        create("last@example.com"),
    )
    assert statuses(found) == [201, 422, 422, 422, 400, 422, 400, 422, 422, *[400] * 5, 404, 400, 400, 201]
    assert pointers(found) == [
        [],
        ["/create/email", "/create/name"],
        ["/create/name"],
        ["/create/name"],
        ["/create/name"],
        ["/create/newsletter_id"],
        ["/create/colour"],
        ["/create/attributes/age", "/create/attributes/size"],
        ["/create/tags/1"],
        [""],
        [""],
        [""],
        [""],
        ["/create/name"],
        [],
        ["/change/id"],
        ["/change/id"],
        [],
    ]
    assert {to for to, _, _, _ in subscriptions.mails()} == {"first@example.com", "last@example.com"}
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(2,)]
    assert subscriptions.rows(f"SELECT count(*) FROM {AUDIT_LOG} WHERE target_kind = 'subscriber'") == [(2,)]


async def test_a_change_is_made_only_to_what_was_read_if_it_says_so(subscriptions: Subscriptions) -> None:
    first, second, third = [one["subscriber"] for one in await results(subscriptions, *several(3))]
    tags = {one["id"]: (await subscriptions.get(f"/{one['id']}")).headers["etag"] for one in (first, second, third)}
    # As a client reads it whose answers are compressed.
    of_first = tags[first["id"]].removesuffix('"') + '-gzip"'
    found = await results(
        subscriptions,
        change(first["id"], if_match=of_first, tags=["one"]),
        change(second["id"], if_match='"old"', tags=["two"]),
        change(third["id"], if_match="*", tags=["three"]),
    )
    assert statuses(found) == [200, 412, 200]
    assert found[1]["etag"] == tags[second["id"]]
    assert found[1]["problem"]["type"] == "urn:broadsheet:problem:precondition-failed"
    assert subscriptions.rows("SELECT tags FROM subscriptions.subscriber ORDER BY id") == [
        (["one"],),
        ([],),
        (["three"],),
    ]


async def test_items_about_one_person_take_effect_one_after_the_other(subscriptions: Subscriptions) -> None:
    second = subscriptions.add_newsletter("second")
    known = (await subscriptions.post("", create("known@example.com")["create"])).json()
    tag = (await subscriptions.get(f"/{known['id']}")).headers["etag"]
    found = await results(
        subscriptions,
        create("ada@example.com", "First", tags=["first"]),
        create("ADA@example.com", "Second", tags=["second"]),
        change(known["id"], tags=["once"], if_match=tag),
        change(known["id"], tags=["twice"], if_match=tag),
        change(known["id"], name="Thrice"),
        create("known@example.com", newsletter_id=second),
        create("ada@example.com", newsletter_id=second),
    )
    assert statuses(found) == [201, 200, 200, 412, 200, 200, 200]
    assert [one["subscriber"]["tags"] for one in (found[0], found[1], found[6])] == [["first"]] * 3
    assert len(found[0]["subscriber"]["subscriptions"]) == 1
    assert len(found[6]["subscriber"]["subscriptions"]) == 2
    assert (found[5]["subscriber"]["name"], found[5]["subscriber"]["tags"]) == ("Thrice", ["once"])
    # The second creation of an address falls into the cool-down of the first.
    assert sorted(to for to, _, _, _ in subscriptions.mails()) == ["ada@example.com"] * 2 + ["known@example.com"] * 2


async def test_the_addresses_of_one_mailbox_share_its_quota(subscriptions: Subscriptions) -> None:
    found = await results(subscriptions, *(create(f"ada+{number}@example.com") for number in range(14)))
    assert statuses(found) == [201] * 14
    assert len(subscriptions.mails()) == 10


async def test_what_is_for_another_newsletter_than_the_callers_is_refused_alone(subscriptions: Subscriptions) -> None:
    theirs = subscriptions.add_newsletter("theirs")
    stranger = (await subscriptions.post("", create("stranger@example.com")["create"])).json()
    reader = (await subscriptions.post("", create("reader@example.com", newsletter_id=theirs)["create"])).json()
    limited = Identity("key:2", frozenset(), frozenset({(theirs, "subscribers:write")}))
    items = [
        create("a@example.com", newsletter_id=theirs),
        create("b@example.com", newsletter_id=1),
        create("c@example.com"),
        change(stranger["id"], name="Hers"),
        change(reader["id"], name="Theirs"),
        create("stranger@example.com", newsletter_id=theirs),
    ]
    response = await subscriptions.client.post(
        PATH,
        json={"items": items},
        headers={IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(limited, "subscriptions")},
    )
    found = response.json()["items"]
    assert statuses(found) == [201, 403, 403, 404, 200, 200]
    # Of somebody who has other subscriptions too, this caller sees theirs.
    assert [one["newsletter_id"] for one in found[5]["subscriber"]["subscriptions"]] == [theirs]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(3,)]
    assert subscriptions.rows("SELECT name FROM subscriptions.subscriber WHERE id = %s", stranger["id"]) == [
        ("Reader",)
    ]


async def test_it_needs_the_permission_to_write_subscribers(subscriptions: Subscriptions) -> None:
    response = await subscriptions.client.post(PATH, json={"items": several(1)}, headers=subscriptions.identity("read"))
    assert response.status_code == 403


async def test_an_item_that_the_database_refuses_harms_no_other(subscriptions: Subscriptions) -> None:
    subscriptions.rows("ALTER TABLE subscriptions.subscriber ADD CONSTRAINT refused CHECK (name <> 'Refused')")
    items = [create("a@example.com"), create("b@example.com", name="Refused"), create("c@example.com")]
    found = await results(subscriptions, *items, *several(CHUNK_ITEMS), key="a")
    assert statuses(found) == [201, 500, 201, *[201] * CHUNK_ITEMS]
    assert "Refused" not in str(found[1])
    subscriptions.rows("ALTER TABLE subscriptions.subscriber DROP CONSTRAINT refused")
    again = await results(subscriptions, *items, *several(CHUNK_ITEMS), key="a")
    # What was no answer to the item is tried again, and nothing else.
    assert statuses(again) == [201] * (CHUNK_ITEMS + 3)
    assert [again[0], *again[2:]] == [found[0], *found[2:]]
    assert len(subscriptions.mails()) == CHUNK_ITEMS + 3
    assert await results(subscriptions, *items, *several(CHUNK_ITEMS), key="a") == again


async def test_an_item_whose_row_somebody_holds_is_to_come_again_and_the_others_are_taken(
    subscriptions: Subscriptions, holding: psycopg.Connection
) -> None:
    held = (await subscriptions.post("", create("held@example.com")["create"])).json()
    holding.execute("SELECT FROM subscriptions.subscriber FOR UPDATE")
    found = await results(
        subscriptions, create("a@example.com"), change(held["id"], name="Held"), create("z@example.com")
    )
    assert statuses(found) == [201, 503, 201]


async def test_the_same_key_gives_the_first_answer_and_changes_nothing_twice(subscriptions: Subscriptions) -> None:
    items = [*several(CHUNK_ITEMS + 1), create("no address")]
    first = await ask(subscriptions, items, key="a")
    subscriptions.end_cool_down()
    again = await ask(subscriptions, items, key="a")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(subscriptions.mails()) == CHUNK_ITEMS + 1
    assert subscriptions.rows(f"SELECT count(*) FROM {AUDIT_LOG} WHERE action = 'subscriber.created'") == [
        (CHUNK_ITEMS + 1,)
    ]


async def test_a_key_of_another_request_is_refused(subscriptions: Subscriptions) -> None:
    await ask(subscriptions, several(1), key="a")
    await subscriptions.post("", create("single@example.com")["create"], key="b")
    other = await ask(subscriptions, several(2), key="a")
    single = await ask(subscriptions, several(2), key="b")
    for refused in (other, single):
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(2,)]


async def test_the_same_batch_at_once_is_written_once_and_gives_equal_answers(subscriptions: Subscriptions) -> None:
    items = several(2 * CHUNK_ITEMS)
    responses = await asyncio.gather(*(ask(subscriptions, items, key="a") for _ in range(4)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1
    assert len(subscriptions.mails()) == 2 * CHUNK_ITEMS


async def test_after_a_crash_between_two_chunks_the_rest_is_done_and_the_finished_part_answered(
    subscriptions: Subscriptions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [*several(CHUNK_ITEMS), *(create(f"writer-{number:03}@example.com") for number in range(5))]
    body = msgspec.json.encode({"items": items})
    request = Repeatable("key:1", "a", fingerprint([b"POST", PATH.encode(), body]))
    caller = Identity("key:1", frozenset({"subscribers:write"}))

    async def crash(connection: Any, request: Any, chunk: int, found: Any) -> None:
        if chunk == 1:
            raise asyncio.CancelledError
        await keep_chunk(connection, request, chunk, found)

    monkeypatch.setattr(module, "keep_chunk", crash)
    engine = engine_for(database)
    with pytest.raises(asyncio.CancelledError):
        await module.write_batch(engine, Batch(caller, POLICY, request), items)
    await engine.dispose()
    monkeypatch.undo()
    before = subscriptions.rows("SELECT id, email FROM subscriptions.subscriber ORDER BY id")
    assert len(before) == CHUNK_ITEMS

    async def send(content: bytes) -> Response:
        headers = subscriptions.identity("write") | {"content-type": "application/json", "idempotency-key": "a"}
        return await subscriptions.client.post(PATH, content=content, headers=headers)

    # Another request with the key is recognised, although the batch is not done.
    assert (await send(msgspec.json.encode({"items": items[:-1]}))).status_code == 422
    found = (await send(body)).json()["items"]
    assert statuses(found) == [201] * len(items)
    assert [(one["subscriber"]["id"], one["subscriber"]["email"]) for one in found[:CHUNK_ITEMS]] == before
    assert len(subscriptions.mails()) == len(items)


async def test_what_an_expired_use_of_the_key_left_is_forgotten(subscriptions: Subscriptions) -> None:
    await ask(subscriptions, several(2 * CHUNK_ITEMS), key="a")
    subscriptions.rows(
        "UPDATE subscriptions.idempotency_key SET expires_at = now() - interval '1 s' WHERE scope = 'key:1'"
    )
    others = [create(f"writer-{number:03}@example.com") for number in range(2 * CHUNK_ITEMS)]
    assert statuses(await results(subscriptions, *others, key="a")) == [201] * (2 * CHUNK_ITEMS)


async def test_when_somebody_was_erased_their_chunks_answers_are_gone_and_nothing_is_written_again(
    subscriptions: Subscriptions,
) -> None:
    items = several(CHUNK_ITEMS + 1)
    first = await results(subscriptions, *items, key="a")
    erased = await subscriptions.post(f"/{first[0]['subscriber']['id']}/erase", {})
    assert erased.status_code in {200, 202}, erased.text
    again = await results(subscriptions, *items, key="a")
    assert statuses(again) == [*[409] * CHUNK_ITEMS, 201]
    assert again[0]["problem"]["type"] == "urn:broadsheet:problem:idempotency-answer-erased"
    assert again[-1] == first[-1]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(CHUNK_ITEMS,)]


async def test_while_the_database_is_away_the_batch_is_to_come_again(subscriptions: Subscriptions) -> None:
    subscriptions.take_database_away()
    assert (await ask(subscriptions, several(3))).status_code == 503
    subscriptions.bring_database_back()
    assert statuses(await results(subscriptions, *several(3))) == [201] * 3


async def test_when_time_is_up_the_rest_is_to_come_again(
    subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def slow(connection: Any, request: Any, chunk: int, found: Any) -> None:
        if chunk == 1:
            await asyncio.Event().wait()
        await keep_chunk(connection, request, chunk, found)

    monkeypatch.setattr(module, "keep_chunk", slow)
    monkeypatch.setattr(module, "TIMEOUT_S", 3.0)
    items = several(2 * CHUNK_ITEMS + 1)
    found = await results(subscriptions, *items, key="a")
    assert statuses(found) == [*[201] * CHUNK_ITEMS, *[503] * (CHUNK_ITEMS + 1)]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(CHUNK_ITEMS,)]
    monkeypatch.undo()
    assert statuses(await results(subscriptions, *items, key="a")) == [201] * len(items)
    assert len(subscriptions.mails()) == len(items)
