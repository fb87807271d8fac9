"""Parts of an issue in the queue: variants, those who wait for a winner, and those who wait for their time."""

from collections import Counter
from datetime import timedelta

import psycopg
import pytest

from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.seeding import DEFAULT_NEWSLETTER_ID, Seed

VARIANTS = {1: "The first issue", 2: "The second subject"}


def issue_in_parts(seed: Seed, parts: list[tuple[int, timedelta | None, list[int]]], *, closed: bool = True) -> int:
    """An issue with two variants; of each part: variant (0: the winner's), how long it waits, its subscribers."""
    [(issue_id,)] = seed.execute(
        "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by, "
        "published_at) VALUES (%s, %s, '<p>Hello</p>', 'Hello', 'published', 'test', now()) RETURNING id",
        (DEFAULT_NEWSLETTER_ID, VARIANTS[1]),
    )
    seed.execute(
        "INSERT INTO publishing.compiled_content (issue_id, variant, title, subject, html_content, text_content) "
        "VALUES (%s, 2, 'Title', %s, '<p>Hello</p>', 'Hello')",
        (issue_id, VARIANTS[2]),
    )
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    seed.execute("SELECT delivery.open_issue_run(%s, %s, %s)", (issue_id, DEFAULT_NEWSLETTER_ID, trace))
    for variant, wait, ids in parts:
        seed.execute(
            "SELECT delivery.enqueue_part(%s, %s::bigint[], %s::smallint, now() + %s::interval)",
            (issue_id, ids, variant, wait),
        )
    if closed:
        seed.execute("SELECT delivery.close_fan_out(%s)", (issue_id,))
    return int(str(issue_id))


def release(seed: Seed, issue_id: int, winner: int) -> bool:
    return bool(seed.execute("SELECT delivery.release_rest(%s, %s::smallint)", (issue_id, winner))[0][0])


def subjects(oracle: Oracle) -> Counter[str]:
    return Counter(message.subject for message in oracle.messages())


async def test_each_gets_their_variant_and_the_rest_the_winner_once_released(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    ids = seed.subscribers(1_400)
    issue_id = issue_in_parts(seed, [(1, None, ids[:100]), (2, None, ids[100:200]), (0, None, ids[200:])])
    await delivery.send_all_due()
    assert subjects(oracle) == {VARIANTS[1]: 100, VARIANTS[2]: 100}
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("open", {"pending": 1_200, "accepted": 200})
    assert release(seed, issue_id, 2)
    assert not release(seed, issue_id, 1)
    await delivery.send_all_due()
    assert subjects(oracle) == {VARIANTS[1]: 100, VARIANTS[2]: 1_300}
    assert set(oracle.sends().values()) == {1}
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("finished", {"accepted": 1_400})


async def test_a_wave_waits_for_its_time_and_goes_out_once(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    ids = seed.subscribers(30)
    issue_id = issue_in_parts(
        seed,
        [(1, -timedelta(hours=2), ids[:10]), (1, timedelta(hours=1), ids[10:20]), (1, timedelta(hours=2), ids[20:])],
    )
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10, "pending": 20}
    for due in (20, 30):
        seed.execute("UPDATE delivery.delivery_chunk SET run_at = run_at - interval '1 hour' WHERE status = 'pending'")
        await delivery.send_all_due()
        assert seed.progress(issue_id).counts.get("accepted") == due
    assert set(oracle.sends().values()) == {1}
    assert seed.progress(issue_id).state == "finished"


async def test_what_waits_is_cancelled_with_the_issue(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    ids = seed.subscribers(30)
    issue_id = issue_in_parts(seed, [(1, None, ids[:10]), (0, None, ids[10:20]), (1, timedelta(hours=1), ids[20:])])
    await delivery.send_all_due()
    seed.cancel(issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10, "cancelled": 20}
    assert not release(seed, issue_id, 1)
    await delivery.send_all_due()
    assert len(oracle.messages()) == 10


async def test_nobody_is_released_while_the_audience_is_enqueued_or_by_an_unknown_issue(seed: Seed) -> None:
    issue_id = issue_in_parts(seed, [(1, None, seed.subscribers(2))], closed=False)
    assert not release(seed, issue_id, 1)
    assert not release(seed, issue_id + 1, 1)


async def test_a_paused_issue_is_released_and_waits_on(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = issue_in_parts(seed, [(0, None, seed.subscribers(5))])
    seed.execute("UPDATE delivery.issue_run SET state = 'paused', pause_reason = 'test'")
    assert release(seed, issue_id, 2)
    await delivery.send_all_due()
    assert oracle.messages() == []
    seed.execute("UPDATE delivery.issue_run SET state = 'open', pause_reason = NULL")
    await delivery.send_all_due()
    assert subjects(oracle) == {VARIANTS[2]: 5}


async def test_who_waits_for_the_winner_cannot_be_leased_whatever_the_time_says(
    seed: Seed, delivery: Delivering
) -> None:
    issue_id = issue_in_parts(seed, [(0, None, seed.subscribers(2))])
    seed.execute("UPDATE delivery.delivery_chunk SET run_at = now()")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 2}
    with pytest.raises(psycopg.errors.CheckViolation):
        seed.execute("UPDATE delivery.delivery_chunk SET status = 'leased'")


async def test_mails_that_go_alone_keep_their_variant(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """A refused batch is handed over to the lane of single mails, where mails of several variants meet."""
    ids = seed.subscribers(40)
    issue_id = issue_in_parts(seed, [(1, None, ids[:20]), (2, None, ids[20:])])
    seed.execute(
        "INSERT INTO delivery.single_mail (kind, dedupe_key, issue_id, seq, traceparent) "
        "SELECT 'newsletter', format('newsletter:%%s:%%s', issue_id, seq), issue_id, seq, %s FROM delivery.delivery",
        (f"00-{'1' * 32}-{'2' * 16}-01",),
    )
    seed.execute("UPDATE delivery.delivery_chunk SET status = 'done', handed_over_count = last_seq - first_seq + 1")
    async with delivering(database, sandbox.base_url, sandbox.token) as delivery:
        await delivery.send_all_due()
    assert subjects(oracle) == {VARIANTS[1]: 20, VARIANTS[2]: 20}
    assert set(oracle.sends().values()) == {1}
    assert seed.progress(issue_id).counts == {"accepted": 40}


async def test_reports_count_those_who_waited_under_the_winner(seed: Seed, delivery: Delivering) -> None:
    ids = seed.subscribers(30)
    issue_id = issue_in_parts(seed, [(1, None, ids[:5]), (2, None, ids[5:10]), (0, None, ids[10:])])
    await delivery.send_all_due()
    # The blocks of the report are made while the rest waits.
    seed.execute("UPDATE delivery.report_pace SET next_at = '-infinity'")
    while await roll_up_reports(delivery.context):
        pass
    assert seed.execute("SELECT count(*) FROM delivery.report_block") == [(1,)]
    release(seed, issue_id, 2)
    await delivery.send_all_due()
    seed.execute("UPDATE delivery.report_pace SET next_at = '-infinity'")
    while await roll_up_reports(delivery.context):
        pass
    figures = seed.execute(
        "SELECT variant, accepted FROM delivery.published_variant_figures "
        "WHERE issue_id = %s AND accepted > 0 ORDER BY variant",
        (issue_id,),
    )
    assert figures == [(1, 5), (2, 25)]
