"""From the form to the confirmation, through the gateway: several newsletters, what is recorded, what nobody learns."""

import re
from typing import Any, cast

import httpx
from litestar.di import Provide

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_subscriptions.consent.note_settled_mails import note_settled_mails
from harness.system import PUBLIC_URL, System

READER = "reader@example.com"
BLOG = "https://blog.example"


async def _add_newsletter(system: System, slug: str) -> int:
    [(newsletter_id,)] = await system.run_sql(
        "INSERT INTO publishing.newsletter (slug, name) VALUES (%s, %s) RETURNING id", slug, slug.title()
    )
    return int(str(newsletter_id))


async def _change(system: System, newsletter_id: int, **changes: object) -> None:
    path = f"/api/v1/newsletters/{newsletter_id}"
    tag = (await system.api.get(path)).headers["etag"]
    answer = await system.api.patch(path, json=changes, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text


async def _note_mails(system: System) -> None:
    await note_settled_mails(cast("Provide", system.apps["subscriptions"].dependencies["engine"]).dependency())


async def _subscriber(system: System, email: str = READER) -> dict[str, Any]:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": email})).json()["items"]
    found: dict[str, Any] = item
    return found


async def _consent(system: System, email: str = READER) -> list[dict[str, Any]]:
    subscriber = await _subscriber(system, email)
    items: list[dict[str, Any]] = (await system.api.get(f"/api/v1/subscribers/{subscriber['id']}/consent")).json()[
        "items"
    ]
    return items


async def test_a_person_has_one_state_on_each_newsletter(system: System) -> None:
    second = await _add_newsletter(system, "second")
    third = await _add_newsletter(system, "third")
    await system.confirmed_subscriber(READER)
    assert (await system.subscribe(READER, path="/newsletters/second")).status_code == 200
    link = await system.confirmation_link(READER)
    assert "Second" in (await system.visitor.get(link)).text
    assert "Second" in (await system.confirm(link)).text
    assert (await system.subscribe(READER, path="/newsletters/third")).status_code == 200
    states = {one["newsletter_id"]: one["state"] for one in (await _subscriber(system))["subscriptions"]}
    assert states == {1: "confirmed", second: "confirmed", third: "pending"}


async def test_the_record_holds_the_whole_way(system: System) -> None:
    visitor = system.client(user_agent="Browser/1", referer=f"{PUBLIC_URL}/?campaign=secret")
    page = (await visitor.get("/")).text
    hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page))
    await visitor.post("/subscriptions", data={"name": "Reader", "email": READER, **hidden})
    link = await system.confirmation_link(READER)
    await _note_mails(system)
    await system.client(user_agent="Phone/2").post(
        "/subscriptions/confirm", data={"subscription_token": link.partition("subscription_token=")[2]}
    )
    requested, sent, confirmed = await _consent(system)
    assert (requested["kind"], requested["ip"], requested["user_agent"]) == ("requested", "127.0.0.1", "Browser/1")
    assert requested["form_url"] == f"{PUBLIC_URL}/"
    assert requested["wording"]["text"] == current_wording("en").text
    assert current_wording("en").text in page
    assert (sent["kind"], sent["mail"]) == ("mail_sent", "confirmation")
    assert (confirmed["kind"], confirmed["user_agent"]) == ("confirmed", "Phone/2")
    exported = (await system.api.get("/api/v1/consents")).json()
    assert exported == {"items": [requested, sent, confirmed], "next_cursor": None}


async def test_new_pending_confirmed_departed_and_suppressed_addresses_get_one_and_the_same_answer(
    system: System,
) -> None:
    await system.confirmed_subscriber("confirmed@example.com")
    await system.confirmed_subscriber("departed@example.com")
    departed = await _subscriber(system, "departed@example.com")
    await system.api.post(f"/api/v1/subscribers/{departed['id']}/unsubscribe", json={})
    await system.subscribe("pending@example.com")
    await system.api.post(
        "/api/v1/suppressions", json={"email": "suppressed@example.com", "message_stream": "outbound"}
    )
    await system.run_sql(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "VALUES ('outbound', 'suppressed@example.com', 'HardBounce', 'send')"
    )
    await system.run_sql("UPDATE subscriptions.subscription SET confirmation_queued_at = NULL")
    await system.deliver_all_pending()
    system.oracle.reset()
    answers: dict[str, httpx.Response] = {}
    for who in ("new", "pending", "confirmed", "departed", "suppressed"):
        answers[who] = await system.subscribe(f"{who}@example.com")
    assert len({(answer.status_code, answer.text) for answer in answers.values()}) == 1
    assert len({tuple(sorted(set(answer.headers) - {"x-request-id"})) for answer in answers.values()}) == 1
    await system.deliver_all_pending()
    subjects = {mail.to: mail.subject for mail in system.oracle.messages()}
    assert subjects == {
        "new@example.com": "Please confirm your subscription to Newsletter",
        "pending@example.com": "Please confirm your subscription to Newsletter",
        "departed@example.com": "Please confirm your subscription to Newsletter",
        "confirmed@example.com": "You are already subscribed to Newsletter",
    }
    await _note_mails(system)
    assert [(event["kind"], event["reason"]) for event in await _consent(system, "suppressed@example.com")] == [
        ("requested", None),
        ("mail_not_sent", "suppressed"),
    ]


async def test_a_site_that_an_author_allows_may_sign_people_up_by_script(system: System) -> None:
    script = system.client(origin=BLOG, sec_fetch_mode="cors", referer=f"{BLOG}/")
    before = await script.post("/subscriptions", data={"name": "Reader", "email": "first@example.com"})
    assert before.status_code == 202
    assert "access-control-allow-origin" not in before.headers
    await _change(system, 1, allowed_origins=[BLOG])
    preflight = await script.options("/subscriptions", headers={"access-control-request-method": "POST"})
    assert preflight.headers["access-control-allow-origin"] == BLOG
    answer = await script.post("/subscriptions", data={"name": "Reader", "email": READER})
    assert (answer.status_code, answer.json()) == (202, {"status": "check_inbox"})
    assert answer.headers["access-control-allow-origin"] == BLOG
    invalid = await script.post("/subscriptions", data={"name": "Reader", "email": "no address"})
    assert [error["pointer"] for error in invalid.json()["errors"]] == ["/email"]
    [event] = await _consent(system)
    assert event["form_url"] == f"{BLOG}/"
    [event] = await _consent(system, "first@example.com")
    assert event["form_url"] is None


async def test_a_newsletter_is_named_on_the_home_page_once_an_author_lists_it(system: System) -> None:
    second = await _add_newsletter(system, "second")
    assert "/newsletters/second" not in (await system.visitor.get("/")).text
    await _change(system, second, is_listed=True)
    assert "/newsletters/second" in (await system.visitor.get("/")).text
    assert (await system.visitor.get("/newsletters/second/embed")).status_code == 200


async def test_a_newsletter_that_is_not_there_takes_nobody(system: System) -> None:
    for path in ("/newsletters/nothing", "/newsletters/Newsletter", "/newsletters/%00", f"/newsletters/{'a' * 200}"):
        assert (await system.subscribe(READER, path=path)).status_code == 404
        assert (await system.visitor.get(path)).status_code == 404
    assert system.seed.count("subscriptions.subscriber") == 0
