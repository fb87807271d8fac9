"""The database refuses books that do not add up, and facts that are changed. Each test tries to break one rule."""

from collections.abc import Iterator

import psycopg
import pytest

from broadsheet_delivery.settling.finish_issues import finish_issues
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed

END = "UPDATE delivery.issue_run SET state = 'finished', finished_at = now()"


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection]:
    """The database as the service's role sees it."""
    with psycopg.connect(database.url_for("delivery"), autocommit=True) as connection:
        yield connection


def test_an_issue_cannot_end_while_a_chunk_is_not_done(seed: Seed, service: psycopg.Connection) -> None:
    seed.published_issue(seed.subscribers(3))
    with pytest.raises(psycopg.errors.CheckViolation, match="unsettled: t"):
        service.execute(END)


async def test_an_issue_cannot_end_while_a_mail_alone_is_not_settled(
    seed: Seed, delivery: Delivering, oracle: Oracle, service: psycopg.Connection
) -> None:
    seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 429, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_one_chunk()
    assert seed.execute("SELECT status FROM delivery.delivery_chunk") == [("done",)]
    with pytest.raises(psycopg.errors.CheckViolation):
        service.execute(END)
    make_due(seed)
    await delivery.send_all_due()
    assert seed.execute("SELECT state FROM delivery.issue_run") == [("finished",)]


@pytest.mark.parametrize("end", [END, "UPDATE delivery.issue_run SET state = 'cancelled', finished_at = now()"])
async def test_an_issue_cannot_end_with_a_chunk_missing(
    seed: Seed, delivery: Delivering, service: psycopg.Connection, end: str
) -> None:
    """The deficit that other senders report as complete."""
    seed.published_issue(seed.subscribers(700))
    await delivery.send_one_chunk()
    seed.execute("DELETE FROM delivery.delivery_chunk WHERE status = 'pending'")
    with pytest.raises(psycopg.errors.CheckViolation, match="700 enqueued, 500 settled"):
        service.execute(end.encode())
    assert await finish_issues(delivery.context) == []
    assert seed.execute("SELECT state FROM delivery.issue_run") == [("open",)]


async def test_an_issue_that_does_not_add_up_holds_no_other_up(seed: Seed, delivery: Delivering) -> None:
    readers = seed.subscribers(3)
    broken, sound = seed.published_issue(readers), seed.published_issue(readers)
    seed.execute("UPDATE delivery.issue_run SET next_seq = 9 WHERE issue_id = %s", (broken,))
    await delivery.send_all_due()
    assert (seed.progress(broken).state, seed.progress(sound).state) == ("open", "finished")


def test_an_issue_cannot_end_while_its_audience_is_being_enqueued(seed: Seed, service: psycopg.Connection) -> None:
    seed.execute("SELECT delivery.open_issue_run(7, 1, 'trace')")
    with pytest.raises(psycopg.errors.CheckViolation):
        service.execute(END)


def test_a_chunk_cannot_be_done_with_a_delivery_uncounted(seed: Seed, service: psycopg.Connection) -> None:
    seed.published_issue(seed.subscribers(3))
    with pytest.raises(psycopg.errors.CheckViolation):
        service.execute("UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 2")
    with pytest.raises(psycopg.errors.CheckViolation):
        service.execute("UPDATE delivery.delivery_chunk SET accepted_count = 4")


async def test_a_delivery_has_one_outcome(seed: Seed, delivery: Delivering, service: psycopg.Connection) -> None:
    seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    with pytest.raises(psycopg.errors.UniqueViolation):
        service.execute(
            "INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, reason) "
            "SELECT issue_id, 1, 'failed', 'Again.' FROM delivery.issue_run"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE delivery.delivery_outcome SET outcome = 'failed', reason = 'No.'",
        "DELETE FROM delivery.delivery_outcome",
        "DELETE FROM delivery.delivery_outcome_part_default",
        "TRUNCATE delivery.delivery_outcome",
        "UPDATE delivery.delivery SET subscriber_id = 1",
        "DELETE FROM delivery.delivery",
        "UPDATE delivery.send_attempt SET started_at = now()",
        "DELETE FROM delivery.send_attempt",
        "UPDATE delivery.send_attempt_end SET verdict = 'not_sent'",
        "DELETE FROM delivery.send_attempt_end",
        "INSERT INTO delivery.outcome_history DEFAULT VALUES",
        "DELETE FROM delivery.outcome_history",
    ],
)
async def test_facts_are_only_added_to(
    seed: Seed, delivery: Delivering, service: psycopg.Connection, statement: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement.encode())
    assert seed.outcomes(issue_id) == {1: "accepted", 2: "accepted"}
