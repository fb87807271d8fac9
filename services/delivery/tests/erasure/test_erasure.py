"""Somebody is erased: in the middle of everything, with accounts that still add up and nothing left that names them."""

from collections.abc import Sequence
from datetime import timedelta

import httpx
import psycopg
import pytest

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.process.settings import Secret
from broadsheet_delivery.events.provider_event import names_address
from broadsheet_delivery.postmark.call_result import CallResult
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.keys import ERASURE_KEYS
from harness.oracle import Captured, Oracle
from harness.postmark.events import event, hard_bounce, tell
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed
from harness.whole_database import where_it_stands

ADA = "reader-1@example.com"
HASHER = AddressHasher.parse(ERASURE_KEYS.reveal())


def erase(seed: Seed, subscriber_id: int, email: str = ADA, hasher: AddressHasher = HASHER) -> None:
    """As subscriptions does it, in one transaction."""
    key_id, address_hash = hasher.current(email)
    seed.execute(
        "WITH gone AS (DELETE FROM subscriptions.subscriber WHERE id = %s RETURNING id) "
        "SELECT delivery.enqueue_erasure(id, %s, %s, %s) FROM gone",
        (subscriber_id, email, address_hash, key_id),
    )


def enter(seed: Seed, email: str = ADA, hasher: AddressHasher = HASHER) -> None:
    """As subscriptions does it when somebody signs up."""
    hashes = hasher.hashes(email)
    seed.execute("SELECT delivery.enter_addresses(%s, %s)", ([email] * len(hashes), hashes))


def kept_under_hash(seed: Seed) -> list[tuple[object, ...]]:
    return seed.execute("SELECT message_stream, kind, active FROM delivery.erased_suppression ORDER BY 1")


async def finished(seed: Seed, delivery: Delivering) -> None:
    seed.execute("UPDATE delivery.erasure SET run_at = now() WHERE finished_at IS NULL")
    assert await delivery.finish_erasures() == 1
    assert seed.execute("SELECT 1 FROM delivery.erasure WHERE finished_at IS NULL") == []


def suppress_at_postmark(sandbox: RunningSandbox, email: str) -> None:
    """Without telling us."""
    url = f"{sandbox.base_url}/message-streams/broadcast/suppressions"
    body = {"Suppressions": [{"EmailAddress": email}]}
    httpx.post(url, json=body, headers=sandbox.headers).raise_for_status()


async def one_sent(seed: Seed, delivery: Delivering, oracle: Oracle) -> tuple[int, Captured]:
    readers = seed.subscribers(1)
    seed.published_issue(readers)
    await delivery.send_all_due()
    [message] = oracle.messages()
    return readers[0], message


async def test_who_is_erased_before_the_claim_is_excluded_and_the_accounts_add_up(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(3)
    issue_id = seed.published_issue(readers)
    erase(seed, readers[0])
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "excluded": 1}
    assert seed.progress(issue_id).state == "finished"
    assert ADA not in oracle.sends()


async def test_who_is_erased_between_claim_and_call_is_excluded_and_the_accounts_add_up(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(3)
    issue_id = seed.published_issue(readers)
    claimed = await delivery.claim()
    assert isinstance(claimed, ClaimedChunk)
    erase(seed, readers[0])
    await finished(seed, delivery)
    await send_chunk(delivery.context, claimed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "excluded": 1}
    assert ADA not in oracle.sends()
    assert seed.execute(
        "SELECT reason FROM delivery.delivery_outcome WHERE issue_id = %s AND outcome = 'excluded'", (issue_id,)
    ) == [("The subscriber was erased.",)]


async def test_who_is_erased_while_the_call_is_under_way_keeps_an_outcome_and_no_name(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """Postmark refuses the address with a text that names it, after the erasure is finished."""
    readers = seed.subscribers(2)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": [ADA]})
    claimed = await delivery.claim()
    assert isinstance(claimed, ClaimedChunk)
    original = delivery.context.postmark.send_batch

    async def erased_meanwhile(_client: object, encoded: Sequence[bytes], *, until_s: float) -> CallResult:
        answer = await original(encoded, until_s=until_s)
        erase(seed, readers[0])
        await finished(seed, delivery)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(delivery.context.postmark), "send_batch", erased_meanwhile)
        await send_chunk(delivery.context, claimed)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "suppressed": 1}
    assert kept_under_hash(seed) == [("broadcast", "inactive", True)]
    assert where_it_stands(seed, ADA) == []


async def test_mails_that_wait_are_not_sent_and_hold_nothing(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    [reader] = seed.subscribers(1)
    seed.single_mail("Reader-1@example.com", dedupe_key="confirmation:1")
    seed.single_mail("other@example.com", dedupe_key="confirmation:2")
    erase(seed, reader)
    await finished(seed, delivery)
    await delivery.send_all_due()
    assert dict(oracle.sends()) == {"other@example.com": 1}
    assert where_it_stands(seed, ADA) == []


async def test_a_mail_that_is_claimed_is_not_begun(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    [reader] = seed.subscribers(1)
    seed.single_mail(ADA, dedupe_key="confirmation:1")
    claimed = await claim_single_mails(delivery.context, "transactional")
    assert isinstance(claimed, ClaimedMails)
    erase(seed, reader)
    await finished(seed, delivery)
    await send_single_mails(delivery.context, claimed)
    assert oracle.messages() == []
    assert seed.execute("SELECT status, reason FROM delivery.single_mail") == [("excluded", "The person was erased.")]


async def test_a_mail_whose_call_is_uncertain_is_settled_later_and_never_sent_again(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    [reader] = seed.subscribers(1)
    seed.single_mail(ADA, dedupe_key="confirmation:1")
    oracle.fault({"kind": "drop_before", "count": 1})
    await delivery.send_one_single_batch()
    assert seed.execute("SELECT status FROM delivery.single_mail") == [("uncertain",)]
    erase(seed, reader)
    await finished(seed, delivery)
    assert where_it_stands(seed, ADA) == []
    oracle.heal()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    make_due(seed)
    await delivery.send_all_due()
    assert seed.execute("SELECT status FROM delivery.single_mail") == [("expired",)]
    assert oracle.messages() == []


@pytest.mark.parametrize("told_first", [True, False], ids=["told before", "told after"])
async def test_an_event_about_an_erased_address_counts_under_its_hash(
    seed: Seed, delivery: Delivering, oracle: Oracle, told_first: bool
) -> None:
    reader, message = await one_sent(seed, delivery, oracle)
    if told_first:
        tell(seed, hard_bounce(message))
        await delivery.apply_events()
    erase(seed, reader)
    if not told_first:
        tell(seed, hard_bounce(message, Details=f"550 no {message.to} here"))
        await delivery.apply_events()
    await finished(seed, delivery)
    assert seed.count("delivery.suppression") == 0
    assert kept_under_hash(seed) == [("broadcast", "hard_bounce", True)]
    assert seed.count("subscriptions.provider_change") == int(told_first)
    seed.execute("DELETE FROM subscriptions.provider_change")  # subscriptions' loop applies and deletes it
    assert where_it_stands(seed, ADA) == []


async def test_who_was_suppressed_and_erased_is_suppressed_again_when_somebody_enters_the_address(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    reader, message = await one_sent(seed, delivery, oracle)
    tell(seed, event("SpamComplaint", message))
    await delivery.apply_events()
    erase(seed, reader)
    await finished(seed, delivery)
    [again] = seed.subscribers(1)
    enter(seed)
    assert kept_under_hash(seed) == []
    assert seed.count("delivery.erased_address") == 0
    assert seed.execute("SELECT email_key, message_stream, kind, active FROM delivery.suppression") == [
        (ADA, "broadcast", "complaint", True)
    ]
    issue_id = seed.published_issue([again])
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"suppressed": 1}


async def test_a_hash_under_an_old_key_is_found_and_new_ones_are_made_with_the_new(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    reader, message = await one_sent(seed, delivery, oracle)
    tell(seed, hard_bounce(message))
    await delivery.apply_events()
    erase(seed, reader)
    rotated = AddressHasher.parse(f"e2:{'ef' * 32},{ERASURE_KEYS.reveal()}")
    assert rotated.current(ADA) != HASHER.current(ADA)
    enter(seed, hasher=rotated)
    assert seed.execute("SELECT kind FROM delivery.suppression") == [("hard_bounce",)]


async def test_an_event_is_known_for_an_erased_addresss_under_an_old_key(
    database: Database, sandbox: RunningSandbox, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    reader, message = await one_sent(seed, delivery, oracle)
    erase(seed, reader)
    keys = Secret(f"e2:{'ef' * 32},{ERASURE_KEYS.reveal()}")
    async with delivering(database, sandbox.base_url, sandbox.token, erasure_keys=keys) as rotated:
        tell(seed, hard_bounce(message))
        await rotated.apply_events()
    assert kept_under_hash(seed) == [("broadcast", "hard_bounce", True)]


async def test_what_postmark_was_not_told_before_the_erasure_it_is_told_on_coming_back(
    seed: Seed, delivery: Delivering, delivery_api: httpx.AsyncClient
) -> None:
    [reader] = seed.subscribers(1)
    assert (await delivery_api.post("/api/v1/suppressions", json={"email": ADA, "stream": "broadcast"})).is_success
    erase(seed, reader)
    assert await delivery.tell_postmark() == 0
    enter(seed)
    assert await delivery.tell_postmark() == 1


async def test_the_backstop_does_not_bring_an_erased_address_back(
    seed: Seed, delivery: Delivering, oracle: Oracle, sandbox: RunningSandbox
) -> None:
    reader, message = await one_sent(seed, delivery, oracle)
    suppress_at_postmark(sandbox, message.to)
    erase(seed, reader)
    await finished(seed, delivery)
    for _ in range(2):
        seed.execute("UPDATE delivery.backstop_state SET run_at = now()")
        assert await delivery.run_backstop()
        await delivery.apply_events()
    assert [kind for _, kind, _ in kept_under_hash(seed)] == ["manual"]
    assert where_it_stands(seed, ADA) == []
    # Known by its hash now, it is not taken for news at every run.
    assert seed.count("delivery.provider_event") == 1


async def test_it_waits_for_webhooks_that_came_before_so_that_no_outcome_is_lost(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(1)
    issue_id = seed.published_issue(readers)
    oracle.fault({"kind": "drop_after", "count": 1}, {"kind": "search_down"})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 1}
    [message] = oracle.messages()
    tell(seed, event("Delivery", message))
    erase(seed, readers[0])
    assert await delivery.finish_erasures() == 0
    await delivery.apply_events()
    await finished(seed, delivery)
    assert seed.progress(issue_id).counts == {"accepted": 1}
    assert where_it_stands(seed, ADA) == []


async def test_a_webhook_that_cannot_be_applied_is_dropped_if_it_names_the_person(
    seed: Seed, delivery: Delivering
) -> None:
    [reader] = seed.subscribers(1)
    escaped = '{"RecordType": "Bounce", "Email": "reader-1\\u0040Example.com"}'
    for body in (escaped, '{"RecordType": "Bounce", "Email": "xreader-2@example.com"}'):
        seed.execute("SELECT delivery.enqueue_provider_events(%s)", ([body],))
    seed.execute("UPDATE delivery.provider_event_inbox SET failure_count = 3, run_at = now() + interval '1 hour'")
    erase(seed, reader)
    await finished(seed, delivery)
    assert [str(row[0]) for row in seed.execute("SELECT body FROM delivery.provider_event_inbox")] == [
        '{"RecordType": "Bounce", "Email": "xreader-2@example.com"}'
    ]


async def test_facts_from_before_this_version_lose_the_address_too(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """Reasons were once stored in the text that Postmark wrote."""
    reader, _ = await one_sent(seed, delivery, oracle)
    said = f"406: Found inactive addresses: {ADA}. Inactive recipients are …"
    seed.execute("UPDATE delivery.delivery_outcome SET outcome = 'suppressed', reason = %s", (said,))
    seed.execute("UPDATE delivery.send_attempt_end SET detail = %s", (said,))
    erase(seed, reader)
    await finished(seed, delivery)
    assert where_it_stands(seed, ADA) == []
    [(reason,)] = seed.execute("SELECT reason FROM delivery.delivery_outcome")
    assert reason == "406: Found inactive addresses: [address] Inactive recipients are …"


async def test_notes_and_details_lose_the_very_address_and_none_that_is_like_it(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    reader, _ = await one_sent(seed, delivery, oracle)
    said = f"<{ADA.upper()}>, jo{ADA}, {ADA}.au and x@example.com; {ADA}."
    seed.execute("UPDATE delivery.send_attempt_end SET detail = %s", (said,))
    erase(seed, reader)
    await finished(seed, delivery)
    assert seed.execute("SELECT detail FROM delivery.send_attempt_end") == [
        (f"<[address]>, jo{ADA}, {ADA}.au and x@example.com; [address].",)
    ]


async def test_who_comes_back_before_it_is_finished_keeps_what_is_new(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    [reader] = seed.subscribers(1)
    erase(seed, reader)
    enter(seed)
    seed.subscribers(1)
    seed.single_mail(ADA, dedupe_key="confirmation:2")
    await finished(seed, delivery)
    await delivery.send_all_due()
    assert dict(oracle.sends()) == {ADA: 1}


async def test_an_event_that_is_being_applied_while_somebody_is_erased_leaves_no_address(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """The erasure waits for who looked before it, and what is written after it is under the hash."""
    reader, message = await one_sent(seed, delivery, oracle)
    with psycopg.connect(database.url_for("delivery")) as applying:
        applying.execute("SELECT delivery.lock_addresses(false)")
        seed.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            erase(seed, reader)
        applying.execute(
            "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
            "VALUES ('broadcast', %s, 'r', 'webhook')",
            (message.to,),
        )
        applying.commit()
    erase(seed, reader)
    assert kept_under_hash(seed) == [("broadcast", "inactive", True)]
    assert seed.count("delivery.suppression") == 0


async def test_hashes_that_suppress_nothing_go_after_their_time_and_those_that_do_stay(
    seed: Seed, delivery: Delivering
) -> None:
    first, second = seed.subscribers(2)
    seed.execute(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "VALUES ('broadcast', %s, 'r', 's')",
        (ADA,),
    )
    erase(seed, first)
    erase(seed, second, "reader-2@example.com")
    kept = delivery.context.outcomes_kept + timedelta(days=1)
    seed.execute("UPDATE delivery.erased_address SET erased_at = now() - %s", (kept,))
    await delivery.retain()
    assert seed.execute("SELECT address_hash FROM delivery.erased_address") == [(HASHER.current(ADA)[1],)]


async def test_two_replicas_finish_an_erasure_once(
    database: Database, sandbox: RunningSandbox, seed: Seed, delivery: Delivering
) -> None:
    [reader] = seed.subscribers(1)
    erase(seed, reader)
    async with delivering(database, sandbox.base_url, sandbox.token) as other:
        assert await delivery.finish_erasures() + await other.finish_erasures() == 1


async def test_an_erasure_that_fails_is_all_undone_put_off_and_done_later(seed: Seed, delivery: Delivering) -> None:
    [reader] = seed.subscribers(1)
    seed.execute(
        "SELECT delivery.enqueue_single_mail('confirmation', 'a', %s, 'S', '<p>x</p>', 'x', interval '1 hour', '')",
        (ADA,),
    )
    erase(seed, reader)
    seed.execute(
        "CREATE FUNCTION delivery.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER fail BEFORE UPDATE ON delivery.erasure FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL)"
        " EXECUTE FUNCTION delivery.fail()"
    )
    for failures in (1, 2):
        seed.execute("UPDATE delivery.erasure SET run_at = now()")
        assert await delivery.finish_erasures() == 0
        assert await delivery.finish_erasures() == 0, "it is not due before its time"
        assert seed.execute("SELECT failure_count, run_at > now() FROM delivery.erasure") == [(failures, True)]
        assert seed.execute("SELECT to_email FROM delivery.single_mail") == [(ADA,)]
    seed.execute("DROP TRIGGER fail ON delivery.erasure; DROP FUNCTION delivery.fail")
    await finished(seed, delivery)
    assert where_it_stands(seed, ADA) == []


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ('{"Email":"ann@example.com"}', True),
        ('{"Email":"ANN\\u0040example.com"}', True),
        ('{"Details":"smtp;550 <ann@example.com>: no mailbox"}', True),
        ('{"Details":"to=ann@example.com, stat=x"}', True),
        ('{"Details":"\'ann@example.com\' is unknown."}', True),
        ('{"Details":"unknown:\\nann@example.com."}', True),
        ('{"ann@example.com": [1, {"a": null}]}', True),
        ("not json, of ann@example.com", True),
        ('{"Email":"joann@example.com"}', False),
        ('{"Email":"jo.ann@example.com"}', False),
        ('{"Email":"jo+ann@example.com"}', False),
        ('{"Email":"o\'ann@example.com"}', False),
        ('{"Email":"ann@example.com.au"}', False),
        ('{"Email":"ann@example.community"}', False),
        ('{"Email":"ann+news@example.com"}', False),
        ("[" * 100_000 + "]" * 100_000, False),
    ],
)
def test_a_webhook_names_an_address_only_if_it_is_that_very_one(body: str, names: bool) -> None:
    assert names_address(body, "ann@example.com") is names
