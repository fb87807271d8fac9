"""Whether a stream fits, before a newsletter has it: asked for through the queue, read from a view."""

import psycopg
import pytest

from broadsheet_delivery.preflight.refresh_facts import FACTS_A_ROUND_MAX, refresh_facts
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.seeding import Seed

STREAM_READS = {"path": "/message-streams/.*"}


def request(database: Database, stream: str, handling: str = "custom") -> None:
    with psycopg.connect(database.url_for("publishing")) as connection:
        connection.execute("SELECT delivery.request_stream_check(%s, %s)", (stream, handling))


def read(database: Database) -> dict[str, tuple[str, str | None]]:
    with psycopg.connect(database.url_for("publishing")) as connection:
        rows = connection.execute(
            "SELECT message_stream, state, reason FROM delivery.published_stream_checks WHERE checked_at IS NOT NULL"
        )
        return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.parametrize(
    ("stream", "handling", "state", "said"),
    [
        ("broadcast", "custom", "fits", ""),
        ("broadcast", "postmark", "mismatch", "Custom"),
        ("outbound", "custom", "mismatch", "Transactional"),
        ("not-there", "custom", "mismatch", "not-there"),
    ],
)
async def test_what_postmark_says_of_a_stream_is_known_once_somebody_asked(
    database: Database, delivery: Delivering, stream: str, handling: str, state: str, said: str
) -> None:
    assert await refresh_facts(delivery.context) == 0
    request(database, stream, handling)
    request(database, stream, handling)
    assert await refresh_facts(delivery.context) == 1
    found, reason = read(database)[stream]
    assert found == state
    assert said in (reason or "")
    assert await refresh_facts(delivery.context) == 0


@pytest.mark.parametrize(
    "rule", [{"status": 401, "error_code": 10}, {"status": 503, "error_code": 100}], ids=["refused", "maintenance"]
)
async def test_when_postmark_cannot_be_asked_nothing_is_known_and_nothing_is_paused(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    oracle.fault({"kind": "status", **rule, "match": STREAM_READS})
    request(database, "broadcast")
    await refresh_facts(delivery.context)
    assert read(database)["broadcast"][0] == "unknown"
    assert seed.execute("SELECT pause_reason FROM delivery.sending_state") == [(None,)]
    oracle.heal()
    request(database, "broadcast")
    await refresh_facts(delivery.context)
    assert read(database)["broadcast"] == ("fits", None)


async def test_a_round_is_bounded_and_old_answers_about_streams_that_nobody_has_are_forgotten(
    database: Database, seed: Seed, delivery: Delivering
) -> None:
    for number in range(FACTS_A_ROUND_MAX + 1):
        request(database, f"stream-{number}")
    assert await refresh_facts(delivery.context) == FACTS_A_ROUND_MAX
    assert await refresh_facts(delivery.context) == 1
    request(database, "broadcast")
    await refresh_facts(delivery.context)
    seed.execute("UPDATE delivery.stream_check SET requested_at = now() - interval '8 days'")
    request(database, "new")
    await refresh_facts(delivery.context)
    assert set(read(database)) == {"broadcast", "new"}
