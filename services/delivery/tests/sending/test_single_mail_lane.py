"""Confirmations and their like: one row a mail, on the transactional stream, ahead of newsletters."""

import asyncio
from typing import Any

import pytest

from broadsheet_delivery.composing.compose_mail import MailComposer
from broadsheet_delivery.postmark.message import Message
from broadsheet_delivery.queue.outcome import Failed
from broadsheet_delivery.sending.send_single_mails import claim_single_mails
from broadsheet_delivery.throttle.state_store import resume_sending
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, expire_leases, make_due
from harness.seeding import Seed


def statuses(seed: Seed) -> list[str]:
    return [str(row[0]) for row in seed.execute("SELECT status FROM delivery.single_mail ORDER BY id")]


async def test_a_confirmation_goes_on_the_transactional_stream_and_keeps_no_body(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    await delivery.send_all_due()
    [message] = oracle.messages()
    assert message.stream == "outbound"
    assert message.headers["Auto-Submitted"] == "auto-generated"
    assert statuses(seed) == ["accepted"]
    assert seed.execute("SELECT html_body, text_body FROM delivery.single_mail") == [(None, None)]


async def test_a_mail_that_cannot_be_made_waits_and_keeps_no_other_from_being_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "poison", "b"):
        seed.single_mail(f"{name}@example.com", dedupe_key=name)
    make = MailComposer.single_mail

    def fail_for_one(self: MailComposer, **given: Any) -> Message | Failed:
        if given["to"].startswith("poison"):
            raise RecursionError
        return make(self, **given)

    with monkeypatch.context() as patched:
        patched.setattr(MailComposer, "single_mail", fail_for_one)
        await delivery.send_all_due()
    assert oracle.sends() == {"a@example.com": 1, "b@example.com": 1}
    assert statuses(seed) == ["accepted", "pending", "accepted"]
    assert seed.execute("SELECT reason, run_at > now() FROM delivery.single_mail WHERE status = 'pending'") == [
        ("The mail could not be made; the log says why.", True)
    ]
    assert len(delivery.context.set_asides.of("delivery.transactional_mails")) == 1
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"] * 3


async def test_the_same_key_queues_one_mail(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    for _ in range(3):
        seed.single_mail("reader@example.com", dedupe_key="a")
    await delivery.send_all_due()
    assert oracle.sends() == {"reader@example.com": 1}


async def test_two_workers_send_each_mail_once(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    for n in range(450):
        seed.single_mail(f"reader-{n}@example.com", dedupe_key=str(n))
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as first,
        delivering(database, sandbox.base_url, sandbox.token) as second,
    ):
        await asyncio.gather(*(worker.send_all_due() for worker in (first, second, first)))
    assert set(statuses(seed)) == {"accepted"}
    sends = oracle.sends()
    assert len(sends) == 450
    assert set(sends.values()) == {1}


async def test_a_confirmation_goes_ahead_of_a_newsletter(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.published_issue(seed.subscribers(2000))
    assert await delivery.send_one_chunk()
    seed.single_mail("new@example.com", dedupe_key="a")
    assert await delivery.send_one_single_batch()
    assert oracle.messages()[-1].to == "new@example.com"


async def test_with_postmark_away_the_mail_waits(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    async with delivering(database, "http://127.0.0.1:9", "token") as cut_off:
        await cut_off.send_all_due()
    assert statuses(seed) == ["pending"]
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"]
    assert oracle.sends() == {"reader@example.com": 1}


async def test_an_invalid_address_is_final_and_the_others_go(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.single_mail("not an address", dedupe_key="a")
    seed.single_mail("reader@example.com", dedupe_key="b")
    await delivery.send_all_due()
    assert statuses(seed) == ["failed", "accepted"]
    assert oracle.sends() == {"reader@example.com": 1}


async def test_a_mail_that_nobody_waits_for_any_more_is_not_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a", expires_in="-1 second")
    await delivery.send_all_due()
    assert statuses(seed) == ["expired"]
    assert oracle.messages() == []


async def test_a_lost_answer_is_asked_about(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    assert statuses(seed) == ["uncertain"]
    make_due(seed)
    await delivery.reconcile()
    assert statuses(seed) == ["accepted"]
    assert oracle.sends() == {"reader@example.com": 1}


async def test_a_confirmation_that_the_search_does_not_show_goes_again_without_a_canary(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "drop_before", "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"]
    assert oracle.sends() == {"reader@example.com": 1}


async def test_what_a_dead_worker_held_is_sent_by_another(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    assert await claim_single_mails(delivery.context, "transactional") is not None
    await delivery.send_all_due()
    assert oracle.messages() == []
    expire_leases(seed)
    assert await delivery.rescue() == 1
    await delivery.send_all_due()
    assert oracle.sends() == {"reader@example.com": 1}


async def test_an_account_error_holds_the_mail_back(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "status", "status": 422, "error_code": 405, "message": "Out of credits."})
    await delivery.send_all_due()
    assert statuses(seed) == ["pending"]
    oracle.heal()
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted"]


async def test_an_inactive_recipient_is_suppressed_on_that_stream_only(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "item_errors", "error_code": 406})
    await delivery.send_all_due()
    assert statuses(seed) == ["suppressed"]
    assert seed.execute("SELECT message_stream, email_key FROM delivery.suppression") == [
        ("outbound", "reader@example.com")
    ]


def own_sender(seed: Seed) -> None:
    seed.execute("UPDATE publishing.newsletter SET from_name = 'Garden, Letter', from_email = 'letter@garden.example'")


@pytest.mark.parametrize("code", [400, 401])
async def test_a_newsletters_sender_that_postmark_refuses_stops_no_other_mail_and_the_mail_waits(
    seed: Seed, delivery: Delivering, oracle: Oracle, code: int
) -> None:
    own_sender(seed)
    seed.single_mail("reader@example.com", dedupe_key="a")
    seed.single_mail("other@example.com", dedupe_key="b", newsletter_id=None)
    oracle.fault({"kind": "item_errors", "error_code": code, "recipients": ["reader@example.com"]})
    await delivery.send_all_due()
    assert statuses(seed) == ["pending", "accepted"]
    assert seed.execute("SELECT pause_reason FROM delivery.sending_state") == [(None,)]
    [(reason, waits)] = seed.execute("SELECT reason, run_at > now() FROM delivery.single_mail WHERE status = 'pending'")
    assert str(reason).startswith(f"{code}: ")
    assert waits
    oracle.heal()
    make_due(seed)
    await delivery.send_all_due()
    assert statuses(seed) == ["accepted", "accepted"]
    assert oracle.messages()[-1].from_ == '"Garden, Letter" <letter@garden.example>'


async def test_the_installations_sender_that_postmark_refuses_stops_all(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """A newsletter without a sender of its own has it too."""
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "item_errors", "error_code": 400, "recipients": ["reader@example.com"]})
    await delivery.send_all_due()
    assert statuses(seed) == ["pending"]
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert str(reason).startswith("400: ")


async def test_a_senders_name_stays_in_its_letters(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.execute("UPDATE publishing.newsletter SET from_name = 'Le marché', from_email = 'lettre@marche.example'")
    seed.single_mail("reader@example.com", dedupe_key="a")
    await delivery.send_all_due()
    assert [mail.from_ for mail in oracle.messages()] == ["Le marché <lettre@marche.example>"]


async def test_the_sender_is_the_one_that_the_newsletter_has_when_the_mail_is_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("reader@example.com", dedupe_key="a")
    own_sender(seed)
    await delivery.send_all_due()
    [mail] = oracle.messages()
    assert mail.from_ == '"Garden, Letter" <letter@garden.example>'
