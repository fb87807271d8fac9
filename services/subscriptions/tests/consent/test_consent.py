"""The record of consent: complete, append-only, gone with the person alone."""

from datetime import datetime
from typing import Any

import psycopg
import pytest

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_subscriptions.consent.evidence import USER_AGENT_CHARS_MAX
from broadsheet_subscriptions.consent.note_settled_mails import note_settled_mails
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for

VISITOR = {"ip": "192.0.2.7", "user_agent": "Browser/1.0", "form_url": "https://blog.example/about"}


async def sign_up(subscriptions: Subscriptions, **changes: object) -> None:
    body: dict[str, object] = {
        "email": "ada@example.com",
        "name": "Ada",
        "wording_version": current_wording("en").version,
        "visitor": VISITOR,
        **changes,
    }
    assert (await subscriptions.public("subscriptions", **body)).status_code == 202


async def record(subscriptions: Subscriptions, **query: Any) -> list[dict[str, Any]]:
    headers = subscriptions.identity("read")
    answer = await subscriptions.client.get("/api/v1/consents", params=query, headers=headers)
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def settle(database: Database, subscriptions: Subscriptions, status: str) -> None:
    """What delivery does once Postmark has answered, and then the look at it."""
    subscriptions.rows(
        "UPDATE delivery.single_mail SET status = %s, settled_at = now(), html_body = NULL, text_body = NULL "
        "WHERE settled_at IS NULL",
        status,
    )
    await look(database)


async def look(database: Database) -> None:
    engine = engine_for(database)
    await note_settled_mails(engine)
    await engine.dispose()


async def test_the_way_from_the_form_to_the_confirmation_is_recorded_whole(
    database: Database, subscriptions: Subscriptions
) -> None:
    await sign_up(subscriptions)
    (token,) = subscriptions.tokens()
    await settle(database, subscriptions, "accepted")
    confirmer = {"ip": "2001:db8::5", "user_agent": "Phone/2"}
    answer = await subscriptions.public("confirmations", token=token, visitor=confirmer)
    assert answer.status_code == 200
    requested, sent, confirmed = await record(subscriptions)
    assert (requested["kind"], requested["source"], requested["mail"]) == ("requested", "form", "confirmation")
    assert {name: requested[name] for name in VISITOR} == VISITOR
    assert requested["wording"] == {"version": current_wording("en").version, "text": current_wording("en").text}
    assert (sent["kind"], sent["source"], sent["mail"], sent["reason"]) == ("mail_sent", "system", "confirmation", None)
    assert (confirmed["kind"], confirmed["source"], confirmed["ip"]) == ("confirmed", "link", "2001:db8::5")
    assert confirmed["user_agent"] == "Phone/2"
    for event in (requested, sent, confirmed):
        assert (event["newsletter_id"], event["actor"]) == (1, None)
        assert datetime.fromisoformat(event["occurred_at"]).utcoffset() is not None
    moments = [datetime.fromisoformat(event["occurred_at"]) for event in (requested, sent, confirmed)]
    assert moments == sorted(moments)


async def test_a_second_confirmation_adds_nothing(subscriptions: Subscriptions) -> None:
    await sign_up(subscriptions)
    (token,) = subscriptions.tokens()
    for _ in range(3):
        await subscriptions.public("confirmations", token=token)
    assert [event["kind"] for event in await record(subscriptions)] == ["requested", "confirmed"]


async def test_a_sign_up_through_the_api_says_by_whom(subscriptions: Subscriptions) -> None:
    await subscriptions.post("", {"email": "ada@example.com", "name": "Ada"}, subject="key:7")
    (requested,) = await record(subscriptions)
    assert (requested["source"], requested["actor"], requested["ip"]) == ("api", "key:7", None)


async def test_requests_within_the_cool_down_leave_one_entry(subscriptions: Subscriptions) -> None:
    for _ in range(30):
        await sign_up(subscriptions)
    assert len(await record(subscriptions)) == 1


async def test_who_is_confirmed_and_asks_again_is_recorded_with_the_other_mail(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    subscriptions.end_cool_down()
    await sign_up(subscriptions)
    assert [(event["kind"], event["mail"]) for event in await record(subscriptions)] == [
        ("requested", "confirmation"),
        ("confirmed", None),
        ("requested", "already_subscribed"),
    ]


@pytest.mark.parametrize("status", ["suppressed", "failed", "expired"])
async def test_a_mail_that_was_not_sent_is_recorded_so(
    database: Database, subscriptions: Subscriptions, status: str
) -> None:
    await sign_up(subscriptions)
    await settle(database, subscriptions, status)
    _, event = await record(subscriptions)
    assert (event["kind"], event["reason"]) == ("mail_not_sent", status)


async def test_a_mail_on_its_way_is_looked_at_again_later_and_recorded_once(
    database: Database, subscriptions: Subscriptions
) -> None:
    await sign_up(subscriptions)
    await look(database)
    assert len(await record(subscriptions)) == 1
    ((wait_s,),) = subscriptions.rows("SELECT extract(epoch FROM look_at - now()) FROM subscriptions.unsettled_mail")
    assert 50 < wait_s <= 60
    subscriptions.rows("UPDATE subscriptions.unsettled_mail SET look_at = now()")
    for _ in range(3):
        await settle(database, subscriptions, "accepted")
    assert [event["kind"] for event in await record(subscriptions)] == ["requested", "mail_sent"]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.unsettled_mail") == [(0,)]


async def test_a_mail_that_delivery_no_longer_knows_is_given_up(
    database: Database, subscriptions: Subscriptions
) -> None:
    await sign_up(subscriptions)
    subscriptions.rows("DELETE FROM delivery.single_mail")
    await look(database)
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.unsettled_mail") == [(0,)]
    assert [event["kind"] for event in await record(subscriptions)] == ["requested"]


@pytest.mark.parametrize(
    "visitor",
    [
        {"ip": "not an address"},
        {"ip": "192.0.2.1; DROP TABLE"},
        {"ip": "fe80::1%eth0"},
        {"user_agent": "\ud7ff" * 2_000},
        {"form_url": "https://blog.example/" + "a" * 2_000},
        {"form_url": "https://blög.example/"},
        {},
    ],
    ids=["no-ip", "hostile-ip", "zone", "long-agent", "long-url", "unencoded-url", "nothing"],
)
async def test_what_makes_no_sense_is_left_out_and_holds_nobody_up(
    subscriptions: Subscriptions, visitor: dict[str, str]
) -> None:
    await sign_up(subscriptions, visitor=visitor, wording_version=2**70)
    (event,) = await record(subscriptions)
    assert event["ip"] in {None, "fe80::1"}
    assert len(event["user_agent"] or "") <= USER_AGENT_CHARS_MAX
    assert event["form_url"] is None
    assert event["wording"] is None


async def test_an_entry_is_changed_by_nobody_and_deleted_with_its_person_alone(
    database: Database, subscriptions: Subscriptions
) -> None:
    await sign_up(subscriptions)
    with pytest.raises(psycopg.errors.RestrictViolation):
        subscriptions.rows("UPDATE subscriptions.consent_event SET ip = '192.0.2.8'")
    with psycopg.connect(database.url_for("subscriptions"), autocommit=True) as service:
        for statement in (
            "DELETE FROM subscriptions.consent_event",
            "UPDATE subscriptions.consent_event SET ip = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(statement)
        service.execute("DELETE FROM subscriptions.subscriber")
    for table in ("consent_event", "unsettled_mail"):
        assert subscriptions.rows(f"SELECT count(*) FROM subscriptions.{table}") == [(0,)]


async def test_the_record_is_paged_by_person_and_over_all(subscriptions: Subscriptions) -> None:
    for n in range(5):
        await sign_up(subscriptions, email=f"reader-{n}@example.com")
    for token in subscriptions.tokens():
        await subscriptions.public("confirmations", token=token)
    seen: list[int] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        headers = subscriptions.identity("read")
        page = (await subscriptions.client.get("/api/v1/consents", params=query, headers=headers)).json()
        seen += [event["id"] for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == 10
    ((subscriber_id,),) = subscriptions.rows(
        "SELECT id FROM subscriptions.subscriber WHERE email_key = 'reader-3@example.com'"
    )
    page = (await subscriptions.get(f"/{subscriber_id}/consent", limit=1)).json()
    assert [event["kind"] for event in page["items"]] == ["requested"]
    page = (await subscriptions.get(f"/{subscriber_id}/consent", cursor=page["next_cursor"])).json()
    assert [(event["kind"], event["subscriber_id"]) for event in page["items"]] == [("confirmed", subscriber_id)]


async def test_the_record_of_nobody_is_404_and_needs_the_scope_to_read(subscriptions: Subscriptions) -> None:
    assert (await subscriptions.get("/77/consent")).status_code == 404
    answer = await subscriptions.client.get("/api/v1/consents", headers=subscriptions.identity("write"))
    assert answer.status_code == 403
