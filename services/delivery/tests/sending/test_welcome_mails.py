"""Welcome mails: on the newsletter's stream, rendered as an issue's mails are, once for each person."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest

from broadsheet_delivery.composing.compose_mail import MailComposer
from broadsheet_delivery.postmark.message import Message
from broadsheet_delivery.sending.send_welcome_mails import SWITCHED_OFF, claim_welcome_mails
from broadsheet_delivery.throttle.state_store import resume_sending
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.seeding import Seed

HTML = (
    "<html><head><title>{{ issue.title }}</title></head><body><p>Welcome {{ subscriber.name }}</p>"
    '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>'
)
TEXT = "Welcome {{ subscriber.name }}. {{ issue.published_on }}{{ web_url }}\nUnsubscribe: {{ unsubscribe_url }}"
ONE_READER = {"reader-1@example.com": 1}


@pytest.fixture
def welcomed(seed: Seed) -> list[int]:
    """Three people who have just confirmed, and whose welcome mails are queued."""
    switch_on(seed)
    people = seed.subscribers(3)
    for subscriber_id in people:
        enqueue(seed, subscriber_id)
    return people


def switch_on(seed: Seed, newsletter_id: int = 1) -> None:
    seed.execute(
        "INSERT INTO publishing.welcome_mail (newsletter_id, is_enabled, subject, content, mail_subject, html_content, "
        "text_content, compiled_version) VALUES (%s, true, 's', 'c', 'Welcome to {{ newsletter.name }}', %s, %s, 1)",
        (newsletter_id, HTML, TEXT),
    )


def enqueue(seed: Seed, subscriber_id: int, newsletter_id: int = 1, expires_in: str = "3 days") -> None:
    seed.execute(
        "SELECT delivery.enqueue_welcome_mail(%s, %s, %s::interval, %s)",
        (newsletter_id, subscriber_id, expires_in, f"00-{'1' * 32}-{'2' * 16}-01"),
    )


def statuses(seed: Seed) -> list[object]:
    return [row[0] for row in seed.execute("SELECT status FROM delivery.single_mail ORDER BY id")]


def reasons(seed: Seed) -> set[object]:
    return {row[0] for row in seed.execute("SELECT reason FROM delivery.single_mail")}


async def test_it_goes_on_the_newsletters_stream_with_the_headers_of_an_issue(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3
    first = oracle.messages()[0]
    assert (first.to, first.stream, first.subject) == ("reader-1@example.com", "broadcast", "Welcome to Newsletter")
    address = first.headers["List-Unsubscribe"].strip("<>")
    assert address.startswith("https://news.example.com/unsubscribe/")
    assert "~" not in address, "nobody who leaves by it leaves because of an issue"
    assert first.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert first.headers["Feedback-ID"] == "welcome:newsletter:newsletter:broadsheet"
    assert "Auto-Submitted" not in first.headers
    assert "<title>Welcome to Newsletter</title>" in first.html
    assert "Welcome Reader 1" in first.html
    assert first.text.startswith("Welcome Reader 1. \n"), "an issue's date and address are empty"
    assert address in first.text
    assert len({message.headers["List-Unsubscribe"] for message in oracle.messages()}) == 3


async def test_where_postmark_handles_unsubscribing_the_headers_are_left_to_it(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    # The sandbox's broadcast stream is of the other kind: what would be sent is looked at.
    seed.execute("UPDATE publishing.newsletter SET unsubscribe_handling = 'postmark', track_opens = true")
    async with delivery.context.engine.connect() as connection:
        content = await delivery.context.welcomes.get(connection, 1)
    assert content is not None
    assert (content.adds_unsubscribe_headers, content.track_opens, content.track_links) == (False, True, "None")


async def test_the_same_person_is_queued_once_and_only_while_it_is_on(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    person, other = seed.subscribers(2)
    enqueue(seed, person)
    assert statuses(seed) == []
    switch_on(seed)
    for _ in range(3):
        enqueue(seed, person)
    seed.execute("UPDATE publishing.welcome_mail SET is_enabled = false")
    enqueue(seed, other)
    seed.execute("UPDATE publishing.welcome_mail SET is_enabled = true")
    await delivery.send_all_due()
    enqueue(seed, person)
    await delivery.send_all_due()
    assert oracle.sends() == ONE_READER


@pytest.mark.parametrize(
    "change",
    ["UPDATE publishing.welcome_mail SET is_enabled = false", "UPDATE publishing.newsletter SET archived_at = now()"],
    ids=["switched off", "archived"],
)
@pytest.mark.parametrize("when", ["queued", "claimed"])
async def test_what_waits_is_dropped_when_the_mail_is_switched_off_or_the_newsletter_archived(
    seed: Seed, delivery: Delivering, oracle: Oracle, change: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newsletter_id = _second_newsletter(seed)
    switch_on(seed, newsletter_id)
    person = _reader_of(seed, newsletter_id)
    enqueue(seed, person, newsletter_id)
    if when == "queued":
        seed.execute(f"{change} WHERE {'newsletter_id' if 'welcome' in change else 'id'} = %s", (newsletter_id,))
    else:
        make = MailComposer.welcome_mail

        def change_meanwhile(self: MailComposer, *given: Any, **named: Any) -> Any:
            seed.execute(f"{change} WHERE {'newsletter_id' if 'welcome' in change else 'id'} = %s", (newsletter_id,))
            return make(self, *given, **named)

        monkeypatch.setattr(MailComposer, "welcome_mail", change_meanwhile)
    await delivery.send_all_due()
    assert (statuses(seed), reasons(seed)) == (["excluded"], {SWITCHED_OFF.reason})
    assert oracle.messages() == []


def _second_newsletter(seed: Seed) -> int:
    [(newsletter_id,)] = seed.execute(
        "INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES ('second', 'Second', '1 Street') "
        "RETURNING id"
    )
    return int(str(newsletter_id))


def _reader_of(seed: Seed, newsletter_id: int) -> int:
    [person] = seed.subscribers(1)
    seed.execute(
        "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at) "
        "VALUES (%s, %s, 'confirmed', now())",
        (newsletter_id, person),
    )
    return person


async def test_who_left_or_is_suppressed_on_the_stream_gets_none(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    seed.leave(welcomed[0])
    seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) VALUES "
        "('broadcast', 'reader-2@example.com', 'It bounced.', 'test'), "
        "('outbound', 'reader-3@example.com', 'It bounced.', 'test')"
    )
    await delivery.send_all_due()
    assert statuses(seed) == ["excluded", "suppressed", "accepted"]
    assert oracle.sends() == {"reader-3@example.com": 1}


async def test_who_leaves_between_claim_and_call_gets_none(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = MailComposer.welcome_mail

    def leave_meanwhile(self: MailComposer, *given: Any, **named: Any) -> Any:
        seed.leave(welcomed[0])
        return make(self, *given, **named)

    monkeypatch.setattr(MailComposer, "welcome_mail", leave_meanwhile)
    await delivery.send_all_due()
    assert statuses(seed) == ["excluded", "accepted", "accepted"]
    assert set(oracle.sends()) == {"reader-2@example.com", "reader-3@example.com"}


async def test_an_operators_suppression_on_every_stream_holds_on_one_that_was_never_used(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, kind, reason, source, origin, all_streams) "
        "VALUES ('*', 'reader-1@example.com', 'manual', 'By hand.', 'operator', 'operator', true)"
    )
    await delivery.send_all_due()
    assert statuses(seed) == ["suppressed", "accepted", "accepted"]


async def test_it_goes_to_the_address_that_the_person_has_now(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    seed.execute(
        "UPDATE subscriptions.subscriber SET email = 'new@example.com', email_key = 'new@example.com' WHERE id = %s",
        (welcomed[0],),
    )
    await delivery.send_all_due()
    assert oracle.messages()[0].to == "new@example.com"
    assert seed.execute("SELECT to_email FROM delivery.single_mail ORDER BY id LIMIT 1") == [("new@example.com",)]


async def test_an_erasure_removes_what_waits(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    with psycopg.connect(database.url_for("subscriptions"), autocommit=True) as connection:
        connection.execute(
            "SELECT delivery.enqueue_erasure(%s, 'reader-1@example.com', %s, 'k1')", (welcomed[0], b"0" * 32)
        )
    await delivery.finish_erasures()
    await delivery.send_all_due()
    assert statuses(seed) == ["excluded", "accepted", "accepted"]
    assert seed.execute("SELECT to_email FROM delivery.single_mail ORDER BY id LIMIT 1") == [("",)]
    assert "reader-1@example.com" not in oracle.sends()


async def test_two_workers_send_each_mail_once(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    switch_on(seed)
    for subscriber_id in seed.subscribers(230):
        enqueue(seed, subscriber_id)
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        await asyncio.gather(*(worker.send_all_due() for worker in (first, second, first)))
    assert set(statuses(seed)) == {"accepted"}
    sends = oracle.sends()
    assert (len(sends), set(sends.values())) == (230, {1})


async def test_what_a_dead_worker_held_is_sent_by_another(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    assert await claim_welcome_mails(delivery.context) is not None
    await delivery.send_all_due()
    assert oracle.messages() == []
    expire_leases(seed)
    assert await delivery.rescue() == 3
    await delivery.send_all_due()
    assert set(oracle.sends().values()) == {1}
    assert len(oracle.sends()) == 3


async def test_a_sender_that_dies_between_the_answer_and_its_record_does_not_lead_to_a_second_mail(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("broadsheet_delivery.sending.send_welcome_mails.persist", die)
        with pytest.raises(asyncio.CancelledError):
            await delivery.send_all_due()
    assert statuses(seed) == ["attempting"] * 3
    expire_leases(seed)
    await delivery.rescue()
    assert statuses(seed) == ["uncertain"] * 3
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3
    assert set(oracle.sends().values()) == {1}


async def test_after_a_lost_answer_it_goes_again_only_once_a_canary_shows_that_it_was_not_sent(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle, welcomed: list[int]
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_reconcile_deadline_s=7200.0) as delivery:
        oracle.fault({"kind": "drop_before", "count": 1})
        await delivery.send_all_due()
        assert statuses(seed) == ["uncertain"] * 3
        age_attempts(seed)
        make_due(seed)
        await delivery.reconcile()
        assert statuses(seed) == ["uncertain"] * 3, "the floor alone, which is enough for a confirmation, is not"
        [late] = seed.subscribers(1, prefix="late")
        enqueue(seed, late)
        await delivery.send_all_due()
        make_due(seed)
        await delivery.reconcile()
        await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 4
    assert set(oracle.sends().values()) == {1}


@pytest.mark.parametrize("search", ["answers", "is away"])
async def test_what_is_unknown_at_the_deadline_is_never_sent_again(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle, welcomed: list[int], search: str
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_reconcile_deadline_s=60.0) as delivery:
        oracle.fault({"kind": "drop_before", "count": 1})
        await delivery.send_all_due()
        age_attempts(seed)
        make_due(seed)
        if search == "is away":
            oracle.fault({"kind": "status", "status": 503, "match": {"path": "/messages/outbound"}})
        await delivery.reconcile()
        assert statuses(seed) == ["failed"] * 3
        make_due(seed)
        await delivery.reconcile()
        await delivery.send_all_due()
    assert oracle.messages() == []


async def test_with_postmark_away_it_waits_and_stops_nothing(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    async with delivering(database, "http://127.0.0.1:9", "token") as cut_off:
        await cut_off.send_all_due()
    assert statuses(seed) == ["pending"] * 3
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3


@pytest.mark.parametrize(
    "stream", ["outbound", "not-there"], ids=["a stream of another type", "a stream that does not exist"]
)
async def test_on_a_stream_that_does_not_fit_it_waits_and_nothing_else_is_stopped(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int], stream: str
) -> None:
    seed.execute("UPDATE publishing.newsletter SET message_stream = %s", (stream,))
    await delivery.send_all_due()
    assert statuses(seed) == ["pending"] * 3
    [reason] = reasons(seed)
    assert stream in str(reason)
    assert oracle.messages() == []
    assert seed.execute("SELECT paused_at FROM delivery.sending_state") == [(None,)]
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'broadcast'")
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "item_errors", "error_code": 400},
        {"kind": "status", "status": 422, "error_code": 1235, "match": {"path": "/email/batch"}},
    ],
    ids=["an unknown sender", "a wrong stream"],
)
async def test_what_would_pause_an_issue_puts_it_off_and_pauses_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int], fault: dict[str, object]
) -> None:
    oracle.fault(fault)
    await delivery.send_all_due()
    assert statuses(seed) == ["pending"] * 3
    assert seed.execute("SELECT min(run_at) > now() + interval '30 s' FROM delivery.single_mail") == [(True,)]
    assert seed.execute("SELECT paused_at FROM delivery.sending_state") == [(None,)]
    oracle.heal()
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3


async def test_an_account_error_pauses_sending_and_holds_it_back(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    rule = {"kind": "status", "status": 422, "error_code": 405, "message": "Out of credits."}
    oracle.fault(rule | {"match": {"path": "/email/batch"}})
    await delivery.send_all_due()
    assert statuses(seed) == ["pending"] * 3
    assert seed.execute("SELECT paused_at IS NULL FROM delivery.sending_state") == [(False,)]
    oracle.heal()
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3


async def test_one_that_nobody_waits_for_any_more_is_not_sent(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    switch_on(seed)
    enqueue(seed, seed.subscribers(1)[0], expires_in="-1 second")
    await delivery.send_all_due()
    assert statuses(seed) == ["expired"]
    assert oracle.messages() == []


async def test_a_mail_that_cannot_be_made_waits_and_keeps_no_other_from_being_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = MailComposer.welcome_mail

    def fail_for_one(self: MailComposer, content: Any, recipient: Any, **named: Any) -> Message | Any:
        if recipient.email.startswith("reader-2"):
            raise RecursionError
        return make(self, content, recipient, **named)

    with monkeypatch.context() as patched:
        patched.setattr(MailComposer, "welcome_mail", fail_for_one)
        await delivery.send_all_due()
    assert statuses(seed) == ["accepted", "pending", "accepted"]
    make_due(seed)
    await delivery.send_all_due()
    assert set(oracle.sends().values()) == {1}
    assert len(oracle.sends()) == 3


async def test_an_inactive_recipient_is_suppressed_on_the_newsletters_stream(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": ["reader-2@example.com"]})
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted", "suppressed", "accepted"]
    assert seed.execute("SELECT message_stream, email_key FROM delivery.suppression") == [
        ("broadcast", "reader-2@example.com")
    ]


async def test_a_correction_is_in_what_is_sent_after_it(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    switch_on(seed)
    first, second = seed.subscribers(2)
    enqueue(seed, first)
    await delivery.send_all_due()
    seed.execute("UPDATE publishing.welcome_mail SET mail_subject = 'Corrected'")
    enqueue(seed, second)
    await delivery.send_all_due()
    assert [message.subject for message in oracle.messages()] == ["Welcome to Newsletter", "Corrected"]


async def test_an_attempts_id_travels_in_the_mail_and_an_event_settles_it(
    seed: Seed, delivery: Delivering, oracle: Oracle, welcomed: list[int]
) -> None:
    await delivery.send_all_due()
    [(attempt_id, mail_id)] = seed.execute("SELECT attempt_id, id FROM delivery.single_mail ORDER BY id LIMIT 1")
    metadata = oracle.messages()[0].metadata
    assert (uuid.UUID(metadata["bs_attempt"]), metadata["bs_mail"]) == (attempt_id, str(mail_id))
    assert "bs_delivery" not in metadata
