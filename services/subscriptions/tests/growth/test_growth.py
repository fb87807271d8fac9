"""The growth of a newsletter: what is reported for each day adds up to who is subscribed."""

import asyncio
import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from broadsheet_subscriptions.growth import fold_growth as module
from broadsheet_subscriptions.growth.fold_growth import fold_growth
from broadsheet_subscriptions.growth.growth_report import Counted, growth_csv, make_report
from broadsheet_subscriptions.leaving.apply_provider_changes import apply_provider_changes
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for

PATH = "newsletters/1/report"


async def _report(subscriptions: Subscriptions, query: str = "") -> Any:
    answer = await subscriptions.api("GET", PATH + query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _today() -> date:
    return datetime.now(UTC).date()


def _confirmed(subscriptions: Subscriptions) -> int:
    ((count,),) = subscriptions.rows("SELECT count(*) FROM subscriptions.subscription WHERE state = 'confirmed'")
    return int(count)


async def test_people_who_come_and_go_are_counted_by_where_they_came_from_and_why_they_left(
    subscriptions: Subscriptions, database: Database
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await subscriptions.subscribe_and_confirm(f"{name}@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("a@example.com"))
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("a@example.com"))
    ((erased,),) = subscriptions.rows("SELECT id FROM subscriptions.subscriber WHERE email_key = 'b@example.com'")
    assert (await subscriptions.post(f"/{erased}/erase", {})).is_success
    for kind, who in (("complained", "c"), ("hard_bounced", "d")):
        subscriptions.rows(
            "SELECT subscriptions.enqueue_provider_change(%s, %s, '{1}', now())::text", kind, f"{who}@example.com"
        )
    engine = engine_for(database)
    await apply_provider_changes(engine)
    await engine.dispose()
    await subscriptions.sign_up("never-confirmed@example.com")
    report = await _report(subscriptions)
    assert report["time_zone"] == "UTC"
    assert (report["joined"], report["left"], report["bounced"], report["complained"]) == (5, 3, 1, 1)
    assert (report["subscribers_at_start"], report["subscribers_at_end"]) == (0, _confirmed(subscriptions))
    last = report["days"][-1]
    assert last["day"] == report["last_day"] == _today().isoformat()
    assert last["joined_by_source"] == {"form": 5}
    assert last["left_by_cause"] == {"complaint": 1, "erasure": 1, "link": 1}
    assert len(report["days"]) == 30


async def test_a_report_is_the_same_before_and_after_the_days_are_written(
    subscriptions: Subscriptions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await subscriptions.subscribe_and_confirm(f"p{number}@example.com")
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("p0@example.com"))
    before = await _report(subscriptions)
    monkeypatch.setattr(module, "ROWS_A_STEP", 2)
    engine = engine_for(database)
    await asyncio.gather(*(fold_growth(engine) for _ in range(3)))
    await fold_growth(engine)
    await engine.dispose()
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.growth_queue") == [(0,)]
    assert await _report(subscriptions) == before
    assert before["subscribers_at_end"] == 4


async def test_a_bulk_of_people_is_one_row_and_an_undone_one_takes_it_back(subscriptions: Subscriptions) -> None:
    subscriptions.rows(
        """
        WITH people AS (
            INSERT INTO subscriptions.subscriber (email, email_key, name)
            SELECT 'bulk-' || n || '@example.com', 'bulk-' || n || '@example.com', '' FROM generate_series(1, 1000) AS n
            RETURNING id
        ), held AS (
            INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
            SELECT 1, id, CASE WHEN mod(id, 10) = 0 THEN 'pending' ELSE 'confirmed' END, now() FROM people
        )
        SELECT count(*) FROM people
        """
    )
    report = await _report(subscriptions)
    assert report["joined"] == _confirmed(subscriptions) == 900
    subscriptions.rows("WITH gone AS (DELETE FROM subscriptions.subscriber RETURNING 1) SELECT count(*) FROM gone")
    report = await _report(subscriptions)
    assert (report["left"], report["subscribers_at_end"]) == (900, 0)


async def test_the_days_before_the_report_add_up_to_its_start(subscriptions: Subscriptions) -> None:
    subscriptions.rows(
        "WITH added AS (INSERT INTO subscriptions.growth_day (newsletter_id, day, change, cause, count) VALUES "
        "(1, %s, 'joined', 'form', 10), (1, %s, 'left', 'link', 3), (2, %s, 'joined', 'form', 99) RETURNING 1) "
        "SELECT count(*) FROM added",
        *(_today() - timedelta(days=days) for days in (50, 20, 20)),
    )
    first, last = _today() - timedelta(days=20), _today()
    report = await _report(subscriptions, f"?from={first}&to={last}")
    assert (report["subscribers_at_start"], report["left"], report["subscribers_at_end"]) == (10, 3, 7)
    assert [day["subscribers"] for day in report["days"]] == [7] * 21


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?from=2026-01-01&to=2027-02-05", 422),
        ("?from=2026-01-01&to=2027-02-04", 200),
        ("?from=2026-02-01&to=2026-01-01", 422),
        ("?from=2026-02-30", 400),
        ("?to=0001-01-01", 422),
        ("?to=9999-12-31", 422),
        ("?to=1970-01-05", 200),
    ],
)
async def test_the_days_of_a_report_are_bounded(subscriptions: Subscriptions, query: str, status: int) -> None:
    assert (await subscriptions.api("GET", PATH + query)).status_code == status


async def test_a_newsletter_that_is_not_there_has_no_report(subscriptions: Subscriptions) -> None:
    for path in ("newsletters/99/report", "newsletters/99/report/csv"):
        answer = await subscriptions.api("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_growth_as_csv_has_a_line_a_day(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    answer = await subscriptions.api("GET", PATH + "/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == 30
    assert (lines[-1]["joined"], lines[-1]["joined_form"], lines[-1]["subscribers"]) == ("1", "1", "1")


def test_a_source_that_a_spreadsheet_would_run_is_text() -> None:
    day = date(2026, 1, 1)
    report = make_report(
        1, first_day=day, last_day=day, subscribers_at_start=0, counted=[Counted(day, "joined", "=1+1", 1)]
    )
    assert growth_csv(report).splitlines()[0] == "day,joined,joined_=1+1,left,bounced,complained,subscribers"


async def test_leaving_by_the_link_of_an_issue_is_told_to_its_report_and_only_to_that(
    subscriptions: Subscriptions,
) -> None:
    for name in ("ada", "bob", "cy"):
        await subscriptions.subscribe_and_confirm(f"{name}@example.com")
    subscriptions.rows("SELECT delivery.open_issue_run(5, 1, 'x')::text")
    ((ada,),) = subscriptions.rows("SELECT id FROM subscriptions.subscriber WHERE email_key = 'ada@example.com'")
    subscriptions.rows("SELECT delivery.enqueue_deliveries(5, %s)", [ada])
    token = subscriptions.unsubscribe_token
    for _ in range(2):
        assert (await subscriptions.public("unsubscribes", token=token("ada@example.com"), issue_id=5)).is_success
    # Somebody whom the issue was not sent to, an issue that is none, and an old link that names none.
    assert (await subscriptions.public("unsubscribes/all", token=token("bob@example.com"), issue_id=5)).is_success
    assert (await subscriptions.public("unsubscribes", token=token("cy@example.com"), issue_id=2**63 - 1)).is_success
    assert _confirmed(subscriptions) == 0
    assert subscriptions.rows("SELECT issue_id, seq FROM delivery.departure") == [(5, 1)]
    assert subscriptions.rows("SELECT issue_id, item FROM delivery.report_queue") == [(5, -1)]


async def test_who_had_left_before_does_not_leave_because_of_the_issue(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    subscriptions.rows("SELECT delivery.open_issue_run(5, 1, 'x')::text")
    ((ada,),) = subscriptions.rows("SELECT id FROM subscriptions.subscriber")
    subscriptions.rows("SELECT delivery.enqueue_deliveries(5, %s)", [ada])
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token())
    assert (await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token(), issue_id=5)).is_success
    assert subscriptions.rows("SELECT count(*) FROM delivery.departure") == [(0,)]
