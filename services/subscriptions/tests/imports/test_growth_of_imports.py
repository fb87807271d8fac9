"""What an import brings in counts as growth, and what was undone of it never did."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from broadsheet_subscriptions.growth.fold_growth import fold_growth
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for
from ..importing import Importing
from .test_import_undo import undone

FILE = "email\none@example.com\ntwo@example.com\nthree@example.com\n"


async def _days(subscriptions: Subscriptions) -> dict[date, dict[str, Any]]:
    """Those on which something happened. The numbers add up to who is subscribed now."""
    report = (await subscriptions.api("GET", "newsletters/1/report")).json()
    ((now,),) = subscriptions.rows(
        "SELECT count(*) FROM subscriptions.subscription WHERE state = 'confirmed' AND newsletter_id = 1"
    )
    assert report["subscribers_at_end"] == now
    return {
        date.fromisoformat(day["day"]): {name: day[name] for name in ("joined_by_source", "left_by_cause")}
        for day in report["days"]
        if day["joined_by_source"] or day["left_by_cause"]
    }


def _today() -> date:
    return datetime.now(UTC).date()


def _three_days_ago(subscriptions: Subscriptions) -> date:
    """Everything that has happened until now, happened then."""
    for table in ("growth_queue", "growth_day"):
        subscriptions.rows(f"UPDATE subscriptions.{table} SET day = day - 3")
    subscriptions.rows(
        "UPDATE subscriptions.subscription SET created_at = created_at - interval '3 days', "
        "confirmed_at = confirmed_at - interval '3 days'"
    )
    return _today() - timedelta(days=3)


async def test_the_imported_joined_by_an_import(subscriptions: Subscriptions, importing: Importing) -> None:
    await importing.run(FILE)
    assert await _days(subscriptions) == {_today(): {"joined_by_source": {"import": 3}, "left_by_cause": {}}}


async def test_an_import_that_is_undone_on_its_day_is_no_growth(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    await subscriptions.subscribe_and_confirm("here@example.com")
    await undone(importing, (await importing.run(FILE))["id"])
    assert await _days(subscriptions) == {_today(): {"joined_by_source": {"form": 1}, "left_by_cause": {}}}


@pytest.mark.parametrize("is_folded", [True, False], ids=["after-the-days-are-written", "before-they-are"])
async def test_an_import_that_is_undone_later_is_growth_on_neither_day(
    subscriptions: Subscriptions, importing: Importing, database: Database, *, is_folded: bool
) -> None:
    engine = engine_for(database)
    await subscriptions.subscribe_and_confirm("here@example.com")
    found = await importing.run(FILE)
    if is_folded:
        await fold_growth(engine)
    then = _three_days_ago(subscriptions)
    await subscriptions.subscribe_and_confirm("later@example.com")
    await undone(importing, found["id"])
    form = {"joined_by_source": {"form": 1}, "left_by_cause": {}}
    assert await _days(subscriptions) == {then: form, _today(): form}
    await fold_growth(engine)
    await engine.dispose()
    assert await _days(subscriptions) == {then: form, _today(): form}


async def test_who_stays_after_an_undo_stays_counted(subscriptions: Subscriptions, importing: Importing) -> None:
    """Who has left since the import joined by it and left; who waits for a confirmation again had not joined."""
    await subscriptions.sign_up("pending@example.com")
    await subscriptions.subscribe_and_confirm("here@example.com")
    second = subscriptions.add_newsletter("second")
    found = await importing.run(FILE + "pending@example.com\nhere@example.com\n", existing="overwrite")
    then = _three_days_ago(subscriptions)
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token("one@example.com"))
    await subscriptions.public("subscriptions", email="two@example.com", name="Two", newsletter_id=second)
    undo = await undone(importing, found["id"])
    assert undo["kept"] == {"left_since": 1, "has_another_subscription": 1}
    assert await _days(subscriptions) == {
        then: {"joined_by_source": {"form": 1, "import": 1}, "left_by_cause": {}},
        _today(): {"joined_by_source": {}, "left_by_cause": {"link": 1}},
    }


async def test_an_import_whose_people_were_counted_under_no_source_is_taken_back_from_there(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    found = await importing.run(FILE)
    subscriptions.rows("UPDATE subscriptions.growth_queue SET cause = 'other'")
    subscriptions.rows("UPDATE subscriptions.growth_day SET cause = 'other'")
    await undone(importing, found["id"])
    assert await _days(subscriptions) == {}
