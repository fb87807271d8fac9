"""What publishing may know of stream and sender: asked for through the queue, read from a view."""

from typing import Any

import psycopg
import pytest

from broadsheet_delivery.preflight.refresh_facts import FACTS_A_ROUND_MAX, refresh_facts
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed

STREAM_READS = {"path": "/message-streams/.*"}


def request(database: Database, newsletter_id: int = 1) -> None:
    with psycopg.connect(database.url_for("publishing")) as connection:
        connection.execute("SELECT delivery.request_preflight(%s)", (newsletter_id,))


def read(database: Database) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.url_for("publishing")) as connection:
        return connection.execute(
            "SELECT stream_state, sender_state, stream_reason, sender_reason FROM delivery.published_preflight "
            "WHERE checked_at IS NOT NULL"
        ).fetchall()


async def test_a_stream_that_fits_is_known_once_somebody_asked(
    database: Database, seed: Seed, delivery: Delivering
) -> None:
    assert await refresh_facts(delivery.context) == 0
    request(database)
    request(database)
    assert await refresh_facts(delivery.context) == 1
    assert read(database) == [("fits", "unknown", None, None)]
    assert await refresh_facts(delivery.context) == 0


async def test_a_stream_that_does_not_fit_is_known_and_nothing_is_paused(
    database: Database, seed: Seed, delivery: Delivering
) -> None:
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'outbound'")
    request(database)
    await refresh_facts(delivery.context)
    [(state, _, reason, _)] = read(database)
    assert state == "mismatch"
    assert "Transactional" in reason
    assert seed.execute("SELECT pause_reason FROM delivery.sending_state") == [(None,)]


@pytest.mark.parametrize(
    "rule", [{"status": 401, "error_code": 10}, {"status": 503, "error_code": 100}], ids=["refused", "maintenance"]
)
async def test_when_postmark_cannot_be_asked_that_is_what_is_known(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    oracle.fault({"kind": "status", **rule, "match": STREAM_READS})
    request(database)
    await refresh_facts(delivery.context)
    [(state, _, reason, _)] = read(database)
    assert state == "unknown"
    assert reason
    assert seed.execute("SELECT pause_reason FROM delivery.sending_state") == [(None,)]
    oracle.heal()
    request(database)
    await refresh_facts(delivery.context)
    assert read(database)[0][0] == "fits"


async def test_a_sender_is_confirmed_once_mail_from_it_was_accepted_and_not_by_mail_from_another(
    database: Database, seed: Seed, delivery: Delivering
) -> None:
    request(database)
    await refresh_facts(delivery.context)
    seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    request(database)
    await refresh_facts(delivery.context)
    assert read(database)[0][1] == "accepted"
    seed.execute("UPDATE publishing.newsletter SET from_email = 'other@example.com'")
    request(database)
    await refresh_facts(delivery.context)
    assert read(database)[0][1] == "unknown"


@pytest.mark.parametrize("code", [400, 401])
async def test_a_sender_that_postmark_refused_is_known_with_its_reason(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, code: int
) -> None:
    request(database)
    await refresh_facts(delivery.context)
    issue_id = seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "item_errors", "error_code": code, "recipients": ["reader-1@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "paused"
    request(database)
    await refresh_facts(delivery.context)
    [(_, state, _, reason)] = read(database)
    assert state == "refused"
    assert str(code) in reason


async def test_a_sender_that_postmark_refused_for_a_single_mail_is_known_until_the_mail_has_gone(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.execute("UPDATE publishing.newsletter SET from_email = 'letter@garden.example'")
    seed.single_mail("reader@example.com", dedupe_key="a")
    oracle.fault({"kind": "item_errors", "error_code": 400, "recipients": ["reader@example.com"]})
    await delivery.send_all_due()
    request(database)
    await refresh_facts(delivery.context)
    [(_, state, _, reason)] = read(database)
    assert (state, reason[:5]) == ("refused", "400: ")
    oracle.heal()
    make_due(seed)
    await delivery.send_all_due()
    request(database)
    await refresh_facts(delivery.context)
    [(_, state, _, reason)] = read(database)
    assert (state, reason) == ("unknown", None)


async def test_a_newsletter_that_is_not_there_leaves_no_request(database: Database, delivery: Delivering) -> None:
    request(database, 999)
    assert await refresh_facts(delivery.context) == 0


async def test_a_round_is_bounded(database: Database, seed: Seed, delivery: Delivering) -> None:
    count = FACTS_A_ROUND_MAX + 2
    seed.execute(
        "INSERT INTO publishing.newsletter (slug, name) "
        f"SELECT 'more-' || n, 'More' FROM generate_series(1, {count}) AS n"
    )
    seed.execute("SELECT delivery.request_preflight(newsletter_id) FROM publishing.published_newsletters")
    assert await refresh_facts(delivery.context) == FACTS_A_ROUND_MAX
    assert await refresh_facts(delivery.context) == count + 1 - FACTS_A_ROUND_MAX
