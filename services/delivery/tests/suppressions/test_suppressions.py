"""Suppressions that people here make and lift: at once for us, and then for Postmark."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_delivery.app import create_app
from broadsheet_delivery.suppressions.store import lift_by_consent, list_lift_requests
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivery_settings
from harness.http.asgi import asgi_transport
from harness.keys import identity_keys, scopes
from harness.oracle import Oracle
from harness.postmark.events import event, tell
from harness.seeding import Seed

PATH = "/api/v1/suppressions"
ADA = {"email": "Ada@Example.com", "stream": "broadcast"}


@pytest.fixture
async def api(database: Database, sandbox: RunningSandbox) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(delivery_settings(database, sandbox.base_url, sandbox.token), sends=False)
    minter = IdentityMinter(identity_keys()[0])
    headers = {IDENTITY_HEADER: minter.mint(Identity("key:1", scopes("read", "write")), "delivery")}
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=asgi_transport(app), base_url="http://delivery", headers=headers) as client,
    ):
        yield client


def at_postmark(sandbox: RunningSandbox, stream: str = "broadcast") -> dict[str, str]:
    answer = httpx.get(f"{sandbox.base_url}/message-streams/{stream}/suppressions/dump", headers=sandbox.headers)
    return {row["EmailAddress"]: row["SuppressionReason"] for row in answer.raise_for_status().json()["Suppressions"]}


async def test_one_made_here_holds_at_once_and_postmark_is_told(
    api: httpx.AsyncClient, seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    readers = seed.subscribers(2)
    made = await api.post(PATH, json={"email": "reader-1@example.com", "stream": "broadcast", "note": "By phone"})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["email"], shown["kind"], shown["origin"]) == ("reader-1@example.com", "manual", "operator")
    assert (shown["note"], shown["active"], shown["postmark_told"]) == ("By phone", True, False)
    issue_id = seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "suppressed": 1}
    assert set(oracle.sends()) == {"reader-2@example.com"}
    assert await delivery.tell_postmark() == 1
    assert at_postmark(sandbox) == {"reader-1@example.com": "ManualSuppression"}
    [listed] = (await api.get(PATH)).json()["items"]
    assert listed["postmark_told"] is True


async def test_one_lifted_here_lets_mail_out_and_postmark_is_told(
    api: httpx.AsyncClient, seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    readers = seed.subscribers(1)
    made = (await api.post(PATH, json={"email": "reader-1@example.com", "stream": "broadcast"})).json()
    await delivery.tell_postmark()
    for _ in range(2):
        assert (await api.delete(f"{PATH}/{made['id']}")).status_code == 204
    await delivery.tell_postmark()
    assert at_postmark(sandbox) == {}
    issue_id = seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1}


async def test_the_echo_of_what_we_told_changes_nothing(
    api: httpx.AsyncClient, seed: Seed, delivery: Delivering
) -> None:
    made = (await api.post(PATH, json={**ADA, "note": "By phone"})).json()
    await delivery.tell_postmark()
    # Postmark's own moment is later than ours.
    seed.execute("UPDATE delivery.suppression SET changed_at = changed_at - interval '1 year'")
    tell(seed, event("SubscriptionChange", SuppressSending=True, Origin="Customer", Recipient="ada@example.com"))
    await delivery.apply_events()
    [listed] = (await api.get(PATH)).json()["items"]
    assert (listed["id"], listed["kind"], listed["origin"], listed["note"]) == (
        made["id"], "manual", "operator", "By phone",
    )  # fmt: skip
    assert seed.count("subscriptions.provider_change") == 0


async def test_a_complaint_cannot_be_lifted(api: httpx.AsyncClient, seed: Seed, delivery: Delivering) -> None:
    tell(seed, event("SpamComplaint", Email="ada@example.com"))
    await delivery.apply_events()
    [listed] = (await api.get(PATH)).json()["items"]
    refused = await api.delete(f"{PATH}/{listed['id']}")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("complaint-stays")
    assert (await api.get(PATH)).json()["items"][0]["active"] is True


async def test_while_postmark_is_away_the_intent_stays(
    api: httpx.AsyncClient, seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    await api.post(PATH, json=ADA)
    oracle.fault({"kind": "status", "status": 500, "error_code": 101, "match": {"path": ".*suppressions.*"}})
    assert await delivery.tell_postmark() == 0
    assert (await api.get(PATH)).json()["items"][0]["postmark_told"] is False
    assert await delivery.tell_postmark() == 0  # not before its time
    oracle.heal()
    seed.execute("UPDATE delivery.suppression SET tell_run_at = now()")
    assert await delivery.tell_postmark() == 1
    assert at_postmark(sandbox) == {"ada@example.com": "ManualSuppression"}


async def test_what_postmark_refuses_is_shown(
    api: httpx.AsyncClient, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    """It has a complaint that we have not heard of yet."""
    made = (await api.post(PATH, json=ADA)).json()
    await delivery.tell_postmark()
    sandbox_event = {"type": "SubscriptionChange", "recipient": "ada@example.com", "stream": "broadcast"}
    change = {**sandbox_event, "suppression_reason": "SpamComplaint", "about_message": False}
    async with httpx.AsyncClient(base_url=sandbox.base_url) as control:
        (await control.post("/_sandbox/events", json=change)).raise_for_status()
    await api.delete(f"{PATH}/{made['id']}")
    await delivery.tell_postmark()
    [listed] = (await api.get(PATH)).json()["items"]
    assert "authority" in listed["postmark_refusal"]
    assert listed["postmark_told"] is False
    # Postmark goes on refusing mail to the address, for a reason that is not ours: it is suppressed, as Postmark's.
    assert (listed["active"], listed["kind"], listed["origin"]) == (True, "inactive", "postmark")


def asked_to_lift(seed: Seed, email_key: str, *, confirmed: str) -> None:
    """As subscriptions asks when somebody confirms; `confirmed` in SQL."""
    seed.execute(f"SELECT delivery.enqueue_lift('{email_key}', '{{1}}', {confirmed})")


@pytest.mark.parametrize(
    ("kind", "origin"), [("manual", "operator"), ("manual", "customer"), ("complaint", "recipient")]
)
async def test_confirming_anew_lifts_nothing_that_somebody_decided_and_no_complaint(
    seed: Seed, delivery: Delivering, kind: str, origin: str
) -> None:
    seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, kind, reason, source, origin, changed_at)"
        " VALUES ('broadcast', 'ada@example.com', %s, 'x', 'webhook', %s, now() - interval '1 day')",
        (kind, origin),
    )
    asked_to_lift(seed, "ada@example.com", confirmed="now()")
    assert await delivery.tell_postmark() == 0
    assert seed.execute("SELECT active, kind, origin FROM delivery.suppression") == [(True, kind, origin)]
    assert seed.count("delivery.lift_request") == 0


async def test_confirming_anew_lifts_nothing_newer_and_nothing_of_another_stream(
    seed: Seed, delivery: Delivering
) -> None:
    tell(seed, event("SubscriptionChange", SuppressSending=True, Origin="Recipient", Recipient="ada@example.com"))
    await delivery.apply_events()
    asked_to_lift(seed, "ada@example.com", confirmed="'2020-01-01'::timestamptz")
    asked_to_lift(seed, "bob@example.com", confirmed="now()")
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'weekly'")
    asked_to_lift(seed, "ada@example.com", confirmed="now() + interval '1 day'")
    assert seed.count("delivery.lift_request") == 1
    assert await delivery.tell_postmark() == 0
    assert seed.execute("SELECT active, kind FROM delivery.suppression") == [(True, "unsubscribe")]


async def test_one_that_comes_while_the_lift_is_under_way_counts(seed: Seed, delivery: Delivering) -> None:
    """They confirmed, and then left by Postmark's link: the answer about the first does not undo the second."""
    bounce: dict[str, Any] = {"SuppressSending": True, "SuppressionReason": "HardBounce", "Origin": "Recipient"}
    tell(seed, event("SubscriptionChange", **bounce, Recipient="ada@example.com", ChangedAt="2024-01-01T00:00:00Z"))
    await delivery.apply_events()
    asked_to_lift(seed, "ada@example.com", confirmed="'2024-01-02'::timestamptz")
    async with delivery.context.engine.begin() as connection:
        ids = await list_lift_requests(connection, limit=10, resting=())
        assert len(ids) == 1
        assert await lift_by_consent(connection, ids=ids) == 1
    assert seed.execute("SELECT active, tell_run_at IS NULL FROM delivery.suppression") == [(False, False)]
    left: dict[str, Any] = {"SuppressSending": True, "SuppressionReason": "ManualSuppression", "Origin": "Recipient"}
    tell(seed, event("SubscriptionChange", **left, Recipient="ada@example.com", ChangedAt="2024-01-03T00:00:00Z"))
    await delivery.apply_events()
    assert await delivery.tell_postmark() == 0
    assert seed.execute("SELECT active, kind, tell_run_at FROM delivery.suppression") == [(True, "unsubscribe", None)]


async def test_a_request_that_fails_is_set_aside_and_the_others_are_handled(seed: Seed, delivery: Delivering) -> None:
    names = ("ada", "poison", "bob")
    for name in names:
        bounce: dict[str, Any] = {"SuppressSending": True, "SuppressionReason": "HardBounce", "Origin": "Recipient"}
        recipient = f"{name}@example.com"
        tell(seed, event("SubscriptionChange", **bounce, Recipient=recipient, ChangedAt="2024-01-01T00:00:00Z"))
    await delivery.apply_events()
    for name in names:
        asked_to_lift(seed, f"{name}@example.com", confirmed="now()")
    seed.execute(
        "ALTER TABLE delivery.suppression ADD CONSTRAINT fault CHECK (active OR email_key <> 'poison@example.com')"
    )
    for _ in range(2):
        await delivery.tell_postmark()
        lifted = seed.execute("SELECT email_key FROM delivery.suppression WHERE NOT active ORDER BY 1")
        assert lifted == [("ada@example.com",), ("bob@example.com",)]
        assert seed.count("delivery.lift_request") == 1
    assert len(delivery.context.set_asides.of("delivery.tell_postmark")) == 1
    seed.execute("ALTER TABLE delivery.suppression DROP CONSTRAINT fault")


async def test_a_refused_address_is_suppressed_again_after_a_lift(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox
) -> None:
    readers = seed.subscribers(1)
    tell(seed, event("SubscriptionChange", SuppressSending=False, Origin="Admin", Recipient="reader-1@example.com"))
    await delivery.apply_events()
    entries = {"Suppressions": [{"EmailAddress": "reader-1@example.com"}]}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=sandbox.headers) as postmark:
        (await postmark.post("/message-streams/broadcast/suppressions", json=entries)).raise_for_status()
    seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.execute("SELECT active, kind FROM delivery.suppression") == [(True, "inactive")]


async def test_lists_come_in_pages_and_by_stream_address_and_state(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await api.post(PATH, json={"email": f"reader-{number}@example.com", "stream": "broadcast"})
    await api.post(PATH, json={"email": "reader-1@example.com", "stream": "outbound"})
    found, cursor = [], None
    for _ in range(3):
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await api.get(PATH, params=query)).json()
        found += [(item["email"], item["stream"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert len(set(found)) == 6
    assert len((await api.get(PATH, params={"stream": "outbound"})).json()["items"]) == 1
    assert len((await api.get(PATH, params={"email": "Reader-1@example.com"})).json()["items"]) == 2
    assert (await api.get(PATH, params={"active": "false"})).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "no address", "stream": "broadcast"}, 422),
        ({"email": "ada@example.com"}, 400),
        ({"email": "ada@example.com", "stream": "Not A Stream"}, 400),
        ({"email": "ada@example.com", "stream": "broadcast", "more": 1}, 400),
    ],
    ids=range(4),
)
async def test_bad_input_is_named(api: httpx.AsyncClient, body: dict[str, object], status: int) -> None:
    answer = await api.post(PATH, json=body)
    assert answer.status_code == status
    assert answer.json()["errors"]


async def test_what_is_not_there_cannot_be_lifted(api: httpx.AsyncClient) -> None:
    assert (await api.delete(f"{PATH}/999")).status_code == 404
