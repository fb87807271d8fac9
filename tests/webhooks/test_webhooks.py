"""From Postmark's webhook through the gateway to the delivery, the suppression and the subscription."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from harness.cluster import Cluster
from harness.http.hooked import PASSWORD, PATH, USER, happens_at_postmark, hooked_system
from harness.system import System
from harness.waiting import eventually

READER = "reader@example.com"


@pytest.fixture
async def hooked(cluster: Cluster, redis_url: str) -> AsyncIterator[System]:
    async with hooked_system(cluster, redis_url) as system:
        yield system


async def _sent_issue(system: System) -> None:
    await system.confirmed_subscriber(READER)
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails()] == [READER]


async def _state(system: System) -> str:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": READER})).json()["items"]
    return str(item["subscriptions"][0]["state"])


async def _suppressions(system: System) -> list[tuple[str, bool]]:
    items = (await system.api.get("/api/v1/suppressions")).json()["items"]
    return [(item["kind"], item["active"]) for item in items]


async def test_who_leaves_and_comes_back_through_postmarks_own_link_is_followed_both_ways(hooked: System) -> None:
    await _sent_issue(hooked)
    about = {"type": "SubscriptionChange", "recipient": READER, "stream": "broadcast"}
    await happens_at_postmark(hooked, **about, suppress_sending=True)
    assert await _state(hooked) == "unsubscribed"
    assert await _suppressions(hooked) == [("unsubscribe", True)]
    await happens_at_postmark(hooked, **about, suppress_sending=False)
    assert await _state(hooked) == "confirmed"
    assert await _suppressions(hooked) == [("unsubscribe", False)]
    await hooked.publish_by_form(title="Next")
    await hooked.deliver_all_pending()
    assert [mail.subject for mail in hooked.newsletter_mails()] == ["The first issue", "Next"]


async def test_a_complaint_46_times_ends_it_once_and_for_good(hooked: System) -> None:
    await _sent_issue(hooked)
    await happens_at_postmark(hooked, type="SpamComplaint", recipient=READER, stream="broadcast", repeat=46)
    assert await _suppressions(hooked) == [("complaint", True)]
    assert await _state(hooked) == "unsubscribed"
    assert hooked.seed.execute("SELECT record_type, count(*) FROM delivery.provider_event GROUP BY 1") == [
        ("SpamComplaint", 1)
    ]
    [item] = (await hooked.api.get("/api/v1/suppressions")).json()["items"]
    assert (await hooked.api.delete(f"/api/v1/suppressions/{item['id']}")).status_code == 409


async def test_a_webhook_settles_what_a_lost_answer_left_open(hooked: System) -> None:
    await hooked.confirmed_subscriber(READER)
    hooked.oracle.fault({"kind": "drop_after", "count": 1}, {"kind": "search_down"})
    await hooked.log_in()
    await hooked.publish_by_form()
    await hooked.deliver_all_pending()
    [issue] = (await hooked.api.get("/api/v1/issues")).json()["items"]
    assert issue["counts"]["uncertain"] == 1
    await happens_at_postmark(hooked, type="Delivery", recipient=READER, stream="broadcast")
    await hooked.deliver_all_pending()
    [issue] = (await hooked.api.get("/api/v1/issues")).json()["items"]
    assert (issue["status"], issue["counts"]["accepted"]) == ("sent", 1)


async def _left_and_confirmed_anew(system: System, *, reason: str) -> str:
    """Suppressed at Postmark for this reason, then the form and the mailed link again. Answers
    with the page that they saw then.
    """
    await system.confirmed_subscriber(READER)
    change = {"type": "SubscriptionChange", "recipient": READER, "stream": "broadcast", "about_message": False}
    await happens_at_postmark(system, **change, suppress_sending=True, suppression_reason=reason, origin="Recipient")
    if reason == "HardBounce":  # the person is still confirmed, and leaves and comes back with us
        [found] = (await system.api.get("/api/v1/subscribers", params={"email": READER})).json()["items"]
        (await system.api.post(f"/api/v1/subscribers/{found['id']}/unsubscribe", json={})).raise_for_status()
    assert await _state(system) == "unsubscribed"
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = NULL")
    assert (await system.subscribe(READER)).status_code == 200
    page = await system.confirm(await system.confirmation_link(READER))
    assert await _state(system) == "confirmed"
    return page.text


async def _suppressed(system: System, **query: str) -> list[Any]:
    """What the list of subscribers says of the one subscription, for those whom the query finds."""
    items = (await system.api.get("/api/v1/subscribers", params=query)).raise_for_status().json()["items"]
    return [item["subscriptions"][0]["suppressed"] for item in items]


async def test_who_left_by_postmarks_link_and_confirms_anew_is_told_that_postmark_keeps_it(hooked: System) -> None:
    page = await _left_and_confirmed_anew(hooked, reason="ManualSuppression")
    assert "still holds your earlier opt-out" in page
    await hooked.delivery.tell_postmark()  # it refuses: the opt-out is the recipient's own
    [shown] = await _suppressed(hooked, suppressed="true")
    assert (shown["kind"], shown["origin"]) == ("unsubscribe", "recipient")
    assert shown["postmark_refusal"]
    assert await _suppressed(hooked, suppressed="false") == []
    await hooked.log_in()
    await hooked.publish_by_form()
    await hooked.deliver_all_pending()
    [issue] = (await hooked.api.get("/api/v1/issues")).json()["items"]
    assert (issue["counts"]["suppressed"], issue["counts"]["accepted"]) == (1, 0)
    deliveries = (await hooked.api.get(f"/api/v1/issues/{issue['id']}/deliveries")).json()["items"]
    assert [(one["status"], one["reason"]) for one in deliveries] == [
        ("suppressed", "The recipient unsubscribed through Postmark.")
    ]
    # What they can do: Postmark's own page.
    about = {"type": "SubscriptionChange", "recipient": READER, "stream": "broadcast", "about_message": False}
    await happens_at_postmark(hooked, **about, suppress_sending=False, origin="Recipient")
    assert await _suppressed(hooked, suppressed="false") == [None]
    await hooked.publish_by_form(title="Next")
    await hooked.deliver_all_pending()
    assert [mail.subject for mail in hooked.newsletter_mails()] == ["Next"]


async def test_who_bounced_and_confirms_anew_gets_the_next_issue(hooked: System) -> None:
    page = await _left_and_confirmed_anew(hooked, reason="HardBounce")
    assert "has blocked this address" in page
    await hooked.delivery.tell_postmark()
    assert await _suppressed(hooked) == [None]
    await hooked.log_in()
    await hooked.publish_by_form()
    await hooked.deliver_all_pending()
    assert [mail.to for mail in hooked.newsletter_mails()] == [READER]


async def test_a_suppression_that_is_heard_of_after_the_confirmation_is_lifted_too(hooked: System) -> None:
    """The webhook came late: it tells of a bounce from before the person confirmed."""
    await hooked.confirmed_subscriber(READER)
    hooked.seed.execute("UPDATE subscriptions.subscription SET confirmed_at = now()")
    bounced = {"type": "SubscriptionChange", "recipient": READER, "stream": "broadcast", "about_message": False}
    reason = {"suppress_sending": True, "suppression_reason": "HardBounce", "origin": "Recipient"}
    await happens_at_postmark(hooked, **bounced, **reason)
    # As if it had happened an hour ago: the event's own time decides.
    late = {
        "RecordType": "SubscriptionChange",
        "MessageStream": "broadcast",
        "Recipient": READER,
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "HardBounce",
        "ChangedAt": "2020-01-01T00:00:00Z",
    }
    hooked.seed.execute("DELETE FROM delivery.suppression")
    answer = await hooked.visitor.post(PATH, json=late, auth=(USER, PASSWORD))
    assert answer.status_code == 200
    await hooked.delivery.apply_events()
    await eventually(lambda: hooked.seed.count("subscriptions.provider_change") == 0, what="subscriptions has followed")
    assert await _suppressions(hooked) == [("hard_bounce", True)]
    await hooked.delivery.tell_postmark()
    assert await _suppressions(hooked) == [("hard_bounce", False)]
    async with httpx.AsyncClient(base_url=hooked.sandbox.base_url, headers=hooked.sandbox.headers) as postmark:
        dump = await postmark.get("/message-streams/broadcast/suppressions/dump")
    assert dump.json() == {"Suppressions": []}
