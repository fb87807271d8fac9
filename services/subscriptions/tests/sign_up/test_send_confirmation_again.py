"""An operator has the mail that asks to confirm sent once more."""

import asyncio
import re
from datetime import UTC, datetime

import pytest
from httpx import Response

from broadsheet_subscriptions.sign_up.send_confirmation_again import wait_in_words

from ..conftest import Subscriptions

ADA = {"email": "ada@example.com", "name": "Ada Lovelace"}


async def pending(subscriptions: Subscriptions, email: str = "ada@example.com") -> int:
    """Signed up so long ago that a mail may be sent again; the person's id."""
    await subscriptions.sign_up(email)
    subscriptions.end_cool_down()
    ((subscriber_id,),) = subscriptions.rows("SELECT id FROM subscriptions.subscriber WHERE email = %s", email)
    return int(subscriber_id)


async def send(subscriptions: Subscriptions, subscriber_id: int, *, key: str | None = None) -> Response:
    return await subscriptions.post(f"/{subscriber_id}/send-confirmation", {"newsletter_id": 1}, key=key)


def kind_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def test_a_second_mail_has_a_link_of_its_own_and_both_links_work(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    answer = await send(subscriptions, subscriber_id)
    assert answer.status_code == 202
    (subscription,) = answer.json()["subscriptions"]
    assert subscription["state"] == "pending"
    queued_at = datetime.fromisoformat(subscription["confirmation_queued_at"])
    assert abs((datetime.now(UTC) - queued_at).total_seconds()) < 60
    first, second = subscriptions.mails()
    assert (second[0], second[1]) == (first[0], first[1])
    one, two = subscriptions.tokens()
    assert one != two
    assert (await subscriptions.public("confirmations", token=two)).status_code == 200
    assert subscriptions.state() == "confirmed"
    assert (await subscriptions.public("confirmations", token=one)).status_code == 200


async def test_it_is_in_the_consent_record_and_in_the_audit_log(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    await send(subscriptions, subscriber_id)
    assert subscriptions.rows(
        "SELECT kind, source, actor FROM subscriptions.consent_event ORDER BY id DESC LIMIT 1"
    ) == [("requested", "api", "key:1")]
    assert subscriptions.rows("SELECT action, actor, target_id, newsletter_id FROM audit.waiting") == [
        ("subscriber.confirmation_sent_again", "key:1", str(subscriber_id), 1)
    ]


async def test_the_same_key_sends_one_mail(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    answers = await asyncio.gather(*(send(subscriptions, subscriber_id, key="a") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len(subscriptions.mails()) == 2


async def test_within_the_cool_down_nothing_is_sent_and_the_answer_says_when(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    await send(subscriptions, subscriber_id)
    refused = await send(subscriptions, subscriber_id)
    assert kind_of(refused) == (409, "sent-lately")
    assert re.search(r"It can be sent again in (\d+ seconds?|1 minute|2 minutes)\.$", refused.json()["detail"])
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert len(subscriptions.mails()) == 2
    subscriptions.end_cool_down()
    assert (await send(subscriptions, subscriber_id)).status_code == 202


@pytest.mark.parametrize(
    ("wait_s", "words"),
    [
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "2 minutes"),
        (720, "12 minutes"),
        (3_601, "2 hours"),
        (86_399, "1 day"),
    ],
)
def test_a_wait_is_said_without_a_time_of_day_and_never_too_short(wait_s: int, words: str) -> None:
    assert wait_in_words(wait_s) == words


async def test_requests_at_once_send_one_mail(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    answers = await asyncio.gather(*(send(subscriptions, subscriber_id) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    assert len(subscriptions.mails()) == 2


async def test_the_quota_of_the_mailbox_holds_for_it_too(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    for _ in range(9):
        assert (await send(subscriptions, subscriber_id)).status_code == 202
        subscriptions.end_cool_down()
    refused = await send(subscriptions, subscriber_id)
    assert kind_of(refused) == (409, "sent-lately")
    assert refused.json()["detail"] == (
        "This mailbox has had as many sign-up mails as one may get. It can be sent again in 1 day."
    )
    subscriptions.rows("UPDATE subscriptions.mailbox_quota SET window_began_at = window_began_at - interval '24 hours'")
    assert (await send(subscriptions, subscriber_id)).status_code == 202
    assert subscriptions.rows("SELECT mails FROM subscriptions.mailbox_quota") == [(1,)]


async def test_who_has_confirmed_or_left_is_not_asked(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    await subscriptions.public("confirmations", token=subscriptions.tokens()[-1])
    confirmed = await send(subscriptions, subscriber_id)
    assert kind_of(confirmed) == (409, "not-pending")
    assert confirmed.json()["detail"] == "They have confirmed already."
    await subscriptions.post(f"/{subscriber_id}/unsubscribe", {})
    left = await send(subscriptions, subscriber_id)
    assert kind_of(left) == (409, "not-pending")
    assert left.json()["detail"].startswith("They left")
    assert len(subscriptions.mails()) == 1


async def test_an_archived_newsletter_asks_nobody(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    subscriptions.rows("UPDATE publishing.newsletter SET archived_at = now(), is_default = false")
    refused = await send(subscriptions, subscriber_id)
    assert kind_of(refused) == (409, "not-pending")
    assert "archived" in refused.json()["detail"]


@pytest.mark.parametrize("stream", ["broadcast", "outbound"])
@pytest.mark.parametrize("kind", ["hard_bounce", "complaint", "manual", "inactive", "soft_bounces"])
async def test_a_suppressed_address_is_not_written_to(subscriptions: Subscriptions, stream: str, kind: str) -> None:
    subscriber_id = await pending(subscriptions)
    subscriptions.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, kind, origin, source) "
        "VALUES (%s, 'ada@example.com', 'x', %s, 'postmark', 'test')",
        stream,
        kind,
    )
    refused = await send(subscriptions, subscriber_id)
    assert kind_of(refused) == (409, "address-blocked")
    assert len(subscriptions.mails()) == 1
    subscriptions.rows("DELETE FROM delivery.suppression")
    assert (await send(subscriptions, subscriber_id)).status_code == 202


async def test_who_left_by_postmarks_link_and_signed_up_again_can_be_asked(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    subscriptions.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, kind, origin, source) "
        "VALUES ('broadcast', 'ada@example.com', 'x', 'unsubscribe', 'recipient', 'test')"
    )
    assert (await send(subscriptions, subscriber_id)).status_code == 202


async def test_somebody_who_is_not_there_or_never_signed_up_for_it(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    assert (await send(subscriptions, 999)).status_code == 404
    other = subscriptions.add_newsletter("other")
    refused = await subscriptions.post(f"/{subscriber_id}/send-confirmation", {"newsletter_id": other})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/newsletter_id"
    assert (await subscriptions.post(f"/{subscriber_id}/send-confirmation", {})).status_code in {400, 422}
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscription") == [(1,)]


async def test_an_erased_person_is_not_there_and_does_not_come_back(subscriptions: Subscriptions) -> None:
    subscriber_id = await pending(subscriptions)
    erased = await subscriptions.api("POST", f"subscribers/{subscriber_id}/erase", {})
    assert erased.status_code == 200
    assert (await send(subscriptions, subscriber_id)).status_code == 404
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]
