"""The welcome mail through the gateway: written by an author, sent once to who confirms for the first time."""

import asyncio
from typing import Any

from broadsheet_delivery.preflight.refresh_facts import refresh_facts
from harness.oracle import Captured
from harness.system import PUBLIC_URL, System
from harness.waiting import eventually

READER = "reader@example.com"
WELCOME = {
    "enabled": True,
    "subject": "Welcome to {{ newsletter.name }}",
    "content": "Hello {{ subscriber.name | default: 'reader' }}, look at [our site](https://example.com/).",
}


async def _change(system: System, **changes: object) -> dict[str, Any]:
    tag = (await system.api.get("/api/v1/newsletters/1")).headers["etag"]
    answer = await system.api.patch("/api/v1/newsletters/1", json=changes, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def _welcomes(system: System) -> list[Captured]:
    return [mail for mail in system.oracle.messages() if mail.subject == "Welcome to Newsletter"]


async def _state(system: System, email: str = READER) -> str:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": email})).json()["items"]
    return str(item["subscriptions"][0]["state"])


async def test_who_confirms_gets_one_mail_by_which_they_can_leave_with_one_click(system: System) -> None:
    await _change(system, welcome_mail=WELCOME)
    assert (await system.subscribe(READER, "Ada")).status_code == 200
    link = await system.confirmation_link(READER)
    assert _welcomes(system) == [], "nobody is welcomed before they have confirmed"
    answers = await asyncio.gather(*(system.confirm(link) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    await system.deliver_all_pending()
    await system.confirm(link)
    await system.deliver_all_pending()
    [mail] = _welcomes(system)
    assert (mail.to, mail.stream) == (READER, "broadcast")
    assert "Hello Ada" in mail.html
    assert "Hello Ada" in mail.text
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = mail.headers["List-Unsubscribe"].strip("<>")
    assert address.startswith(f"{PUBLIC_URL}/unsubscribe/")
    assert address in mail.html
    assert (await system.visitor.get(f"{address}/choices")).status_code == 200
    assert await _state(system) == "confirmed"
    assert (await system.visitor.post(address, data={"List-Unsubscribe": "One-Click"})).status_code == 200
    assert await _state(system) == "unsubscribed"


async def test_the_mail_is_what_the_preview_showed(system: System) -> None:
    """Byte for byte, but for the link that belongs to its reader."""
    await _change(system, welcome_mail=WELCOME)
    await system.confirmed_subscriber(READER)
    await system.deliver_all_pending()
    [mail] = _welcomes(system)
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": READER})).json()["items"]
    shown = await system.api.post("/api/v1/newsletters/1/welcome-mail/preview", json={"subscriber_id": item["id"]})
    assert shown.status_code == 200, shown.text
    preview = shown.json()
    link = mail.headers["List-Unsubscribe"].strip("<>")
    token = link.removeprefix(f"{PUBLIC_URL}/unsubscribe/")
    for sent, previewed in ((mail.html, preview["html"]), (mail.text, preview["text"])):
        assert link in sent
        assert sent.replace(token, "test") == previewed
    headers = {header["name"]: header["value"] for header in preview["headers"]}
    assert mail.headers | {"List-Unsubscribe": headers["List-Unsubscribe"]} == headers
    assert (mail.subject, mail.to) == (preview["subject"], preview["to"])


async def test_who_comes_back_is_not_welcomed_again(system: System) -> None:
    await _change(system, welcome_mail=WELCOME)
    await system.confirmed_subscriber(READER)
    await system.deliver_all_pending()
    [mail] = _welcomes(system)
    await system.visitor.post(mail.headers["List-Unsubscribe"].strip("<>"), data={"List-Unsubscribe": "One-Click"})
    # As if it had been long ago: nothing of the first mail is kept in the queue.
    await system.run_sql("DELETE FROM delivery.single_mail")
    await system.run_sql("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 day'")
    await system.confirmed_subscriber(READER)
    await system.deliver_all_pending()
    assert await _state(system) == "confirmed"
    assert len(_welcomes(system)) == 1


async def test_who_was_imported_as_confirmed_is_not_welcomed_and_who_confirms_when_asked_is(system: System) -> None:
    await _change(system, welcome_mail=WELCOME)
    for state, email in (("confirmed", "imported@example.com"), ("pending", "asked@example.com")):
        answer = await system.api.post(
            "/api/v1/imports",
            content=f"email\n{email}\n".encode(),
            params={"consent_basis": "They asked for it.", "state": state},
            headers={"Content-Type": "text/csv"},
        )
        assert answer.status_code == 202, answer.text
        path = f"/api/v1/imports/{answer.json()['id']}"

        async def is_done(path: str = path) -> bool:
            return bool((await system.api.get(path)).json()["status"] == "done")

        await eventually(is_done, within_s=60, what="the import ends")
    await system.deliver_all_pending()
    assert _welcomes(system) == []
    assert (await system.subscribe("asked@example.com")).status_code == 200
    await system.confirm(await system.confirmation_link("asked@example.com"))
    await system.deliver_all_pending()
    assert [mail.to for mail in _welcomes(system)] == ["asked@example.com"]


async def test_who_leaves_before_it_is_sent_does_not_get_it(system: System) -> None:
    await _change(system, welcome_mail=WELCOME)
    await system.confirmed_subscriber(READER)
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": READER})).json()["items"]
    system.seed.leave(item["id"])
    await system.deliver_all_pending()
    assert _welcomes(system) == []


async def test_while_it_is_off_nobody_is_welcomed_and_nobody_is_later(system: System) -> None:
    await _change(system, welcome_mail=WELCOME | {"enabled": False})
    await system.confirmed_subscriber(READER)
    await _change(system, welcome_mail={"enabled": True})
    await system.deliver_all_pending()
    assert _welcomes(system) == []


async def test_a_stream_is_checked_at_postmark_when_it_is_set(system: System) -> None:
    async def look() -> dict[str, Any]:
        found: dict[str, Any] = (await system.api.get("/api/v1/newsletters/1")).json()["stream_check"]
        return found

    assert (await look())["state"] == "unknown"
    await _change(system, name="Newsletter")
    await refresh_facts(system.delivery.context)
    assert (await look())["state"] == "ok"
    # Not known yet: accepted, and checked soon after.
    assert (await _change(system, message_stream="outbound"))["stream_check"]["state"] == "unknown"
    await refresh_facts(system.delivery.context)
    assert (await look())["state"] == "mismatch"
    await _change(system, message_stream="broadcast")
    headers = {"If-Match": "*"}
    refused = await system.api.patch("/api/v1/newsletters/1", json={"message_stream": "outbound"}, headers=headers)
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["pointer"] == "/message_stream"
    assert "Transactional" in error["detail"]


async def test_the_document_names_the_welcome_mail_and_the_stream_check(system: System) -> None:
    document = (await system.visitor.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert {"welcome_mail", "stream_check"} <= schemas["Newsletter"]["properties"].keys()
    assert {"enabled", "subject", "content"} <= schemas["WelcomeMailInput"]["properties"].keys()
