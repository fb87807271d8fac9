"""A person of whom something stands everywhere: put there by what people and Postmark really do."""

import re

import httpx

from broadsheet_delivery.reporting.roll_up_engagement import roll_up_engagement
from harness.postmark.events import event, hard_bounce, tell
from harness.system import LINK, System
from harness.waiting import eventually

EMAIL = "Marker.Person@example.com"
KEY = EMAIL.lower()
OLD_EMAIL = "marker-before@example.com"
ASKED_EMAIL = "marker-asked@example.com"
NAME = "Zebedee Markworthy"
OTHER = "bystander@example.com"
AUDIENCE_ISSUE_ID = 1_000_000


async def newest_link(system: System, email: str, path: str) -> str:
    """Of the newest mail to the address that holds a link to such a path."""
    await system.deliver_all_pending()
    for message in reversed(system.oracle.messages()):
        if message.to.lower() == email.lower():
            for link in LINK.findall(message.text):
                if path in link:
                    return str(link)
    raise AssertionError(f"no mail to {email} holds a link to {path}")


async def own_page(system: System, email: str) -> str:
    """The path of the person's own page, by a link that was mailed to them on the word of an issue's footer."""
    unsubscribe = await newest_link(system, email, "/unsubscribe/")
    system.seed.execute("UPDATE subscriptions.preferences_link SET created_at = now() - interval '1 hour'")
    answer = await system.visitor.post(f"{path_of(unsubscribe)}/preferences-link")
    assert answer.status_code == 200, answer.text
    return path_of(await newest_link(system, email, "/preferences/"))


def path_of(link: str) -> str:
    return re.sub(r"^https?://[^/]+", "", link)


async def subscriber_id(system: System, email: str) -> int:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": email})).json()["items"]
    return int(item["id"])


async def plant(system: System) -> int:
    """Signs up through the form and the API, gets issues and opens one, changes name and address, asks for another, is
    noted, tagged and put into a segment, bounces and is suppressed; a mail and a webhook wait. Answers the number.
    """
    system.seed.execute(
        "INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES ('second', 'Second', 'x')"
    )
    # Whom somebody else's system is told of; what is told of it waits, as the endpoint is switched off before it is.
    system.seed.execute(
        "INSERT INTO subscriptions.webhook_endpoint (url, events) VALUES"
        " ('https://receiver.example/', '{subscriber.subscribed,subscriber.confirmed,subscriber.unsubscribed}')"
    )
    await system.confirmed_subscriber(OLD_EMAIL, "Name Before")
    await system.confirmed_subscriber(OTHER, "By Stander")
    system.seed.execute("UPDATE subscriptions.webhook_endpoint SET enabled = false")
    system.seed.execute(
        "INSERT INTO subscriptions.webhook_attempt (delivery_id, duration_ms, http_status, answer)"
        " SELECT id, 7, 200, 'Welcome, ' || %s FROM subscriptions.webhook_delivery"
        " WHERE subscriber_id = %s ORDER BY id LIMIT 1",
        (OLD_EMAIL, await subscriber_id(system, OLD_EMAIL)),
    )
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    page = await own_page(system, OLD_EMAIL)
    assert (await system.visitor.post(f"{page}/name", data={"name": NAME})).status_code == 303
    assert (await system.visitor.post(f"{page}/address", data={"email": EMAIL})).status_code == 303
    change = path_of(await newest_link(system, EMAIL, "/change-of-address/"))
    assert (await system.visitor.post(change)).status_code == 200
    person = await subscriber_id(system, EMAIL)
    await _note(system, person)
    page = await own_page_after_change(system)

    # An answer that is kept for a repeated request, and a confirmation that is not sent yet.
    [(newsletter_id,)] = system.seed.execute("SELECT id FROM publishing.newsletter WHERE slug = 'second'")
    await sign_up_by_api(system, newsletter_id)
    # A refusal whose text names the address, an issue that arrived, and what Postmark told of both.
    system.oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": [EMAIL]})
    await system.publish_by_form(title="Refused")
    await system.fan_outs_finished()
    await system.delivery.send_one_chunk()
    system.oracle.heal()
    [first] = [mail for mail in system.newsletter_mails() if mail.to == OLD_EMAIL]
    tell(
        system.seed, event("Delivery", first, Details=f"250 queued for {EMAIL}"), event("Open", first, Recipient=EMAIL)
    )
    await system.delivery.apply_events()
    await roll_up(system)
    tell(
        system.seed,
        hard_bounce(first, Email=EMAIL, Details=f"550 no mailbox {EMAIL}"),
        event("Bounce", first, minutes=5, Type="SoftBounce", TypeCode=4096, Inactive=False, Email=EMAIL),
    )
    await system.delivery.apply_events()
    assert (await system.visitor.post(f"{page}/address", data={"email": ASKED_EMAIL})).status_code == 303
    made = await system.api.post(
        "/api/v1/suppressions", json={"email": EMAIL, "stream": "outbound", "note": f"{NAME} rang"}
    )
    assert made.status_code == 201
    # Of its own accord, and not applied yet.
    tell(system.seed, hard_bounce(first, minutes=9, Email=EMAIL))
    await eventually(lambda: system.seed.count("subscriptions.provider_change") == 0, what="subscriptions has followed")
    return person


async def _note(system: System, person: int) -> None:
    """What an author keeps of them; and an issue to a segment that knows their address, whose members are kept."""
    for name in ("nickname", "second_address"):
        made = await system.api.post("/api/v1/attributes", json={"name": name, "type": "text"})
        assert made.status_code == 201, made.text
    path = f"/api/v1/subscribers/{person}"
    await _import(system)
    noted = await system.api.patch(
        path,
        headers={"If-Match": (await system.api.get(path)).headers["etag"]},
        json={"attributes": {"nickname": NAME, "second_address": EMAIL}, "tags": [f"friend of {NAME}"]},
    )
    assert noted.status_code == 200, noted.text
    tree = {"any": [{"field": "email", "op": "eq", "value": EMAIL}, {"field": "email", "op": "eq", "value": OTHER}]}
    made = await system.api.post("/api/v1/segments", json={"name": "Two friends", "filter": tree})
    assert made.status_code == 201, made.text
    system.seed.execute(
        "INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter)"
        " SELECT %s, newsletter_id, segment.id, filter FROM subscriptions.segment, subscriptions.subscription"
        " WHERE subscriber_id = %s LIMIT 1",
        (AUDIENCE_ISSUE_ID, person),
    )
    await eventually(
        lambda: system.seed.execute("SELECT 1 FROM subscriptions.audience WHERE completed_at IS NULL") == [],
        what="the audience is frozen",
    )
    assert system.seed.execute("SELECT member_count FROM subscriptions.audience") == [(2,)]


async def _import(system: System) -> None:
    """A file that changes them and has a row of theirs that cannot be read, and one that waits after its dry run."""
    content = f'email,name,nickname\n{EMAIL},,"{NAME}"\n"{EMAIL}, home",{NAME},x\nnobody,{EMAIL},y\n'
    for options in ({"existing": "fill"}, {"dry_run": "true"}):
        answer = await system.api.post(
            "/api/v1/imports",
            content=content.encode(),
            params={"consent_basis": "They asked.", "state": "confirmed", **options},
            headers={"Content-Type": "text/csv"},
        )
        assert answer.status_code == 202, answer.text
    await eventually(
        lambda: system.seed.count("subscriptions.import_job", "status IN ('done', 'checked')") == 2,
        what="both imports are over",
    )


async def roll_up(system: System) -> None:
    """As delivery's loop does it."""
    for _ in range(100):
        if await roll_up_engagement(system.delivery.context) == 0:
            return
    raise AssertionError("there was still something to roll up")


async def sign_up_by_api(system: System, newsletter_id: object) -> httpx.Response:
    return await system.api.post(
        "/api/v1/subscribers",
        json={"email": EMAIL, "name": NAME, "newsletter_id": newsletter_id},
        headers={"Idempotency-Key": "planted"},
    )


async def own_page_after_change(system: System) -> str:
    """The unsubscribe link in the old mailbox still knows the person; the mail goes to the address on file."""
    unsubscribe = path_of(await newest_link(system, OLD_EMAIL, "/unsubscribe/"))
    system.seed.execute("UPDATE subscriptions.address_change SET requested_at = requested_at - interval '1 hour'")
    system.seed.execute("UPDATE subscriptions.preferences_link SET created_at = created_at - interval '1 hour'")
    assert (await system.visitor.post(f"{unsubscribe}/preferences-link")).status_code == 200
    return path_of(await newest_link(system, EMAIL, "/preferences/"))
