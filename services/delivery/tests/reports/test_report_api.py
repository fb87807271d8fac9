"""Reports as the API answers them."""

import csv
import io
from typing import Any

import httpx

from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.postmark.message import Message
from broadsheet_delivery.retention.remove_old import retain
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.postmark.events import event, hard_bounce, tell
from harness.seeding import Seed

from .naive_report import Told
from .world import NOON, roll_up, store_events


async def _get(api: httpx.AsyncClient, path: str) -> Any:
    answer = await api.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_report_says_what_became_of_an_issue_and_of_which_moment_it_is(
    delivery_api: httpx.AsyncClient, delivery: Delivering, seed: Seed, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    path = f"issues/{issue_id}/report"
    before = await _get(delivery_api, path)
    assert (before["as_of"], before["counts"]["pending"], before["rates"]["opened"]) == (None, 3, None)
    await delivery.send_all_due()
    first, second, _ = oracle.messages()
    tell(seed, event("Delivery", first), event("Open", first, minutes=1), hard_bounce(second))
    await apply_provider_events(delivery.context)
    assert (await _get(delivery_api, path))["waiting"] == 3
    await roll_up(delivery, seed)
    report = await _get(delivery_api, path)
    assert report["waiting"] == 0
    assert report["as_of"] is not None
    assert report["counts"]["accepted"] == 3
    assert report["bounces"] == {
        "total": 1, "hard": 1, "soft": 0, "other": 0, "by_type": [{"type": "HardBounce", "recipients": 1}],
    }  # fmt: skip
    assert report["rates"]["opened"] == 1.0
    assert report["clicks"] == {
        "measured": False, "unique": None, "total": None, "unique_without_machines": None, "machine": None,
    }  # fmt: skip
    assert [one["domain"] for one in report["domains"]] == ["example.com"]
    assert [one["variant"] for one in report["variants"]] == [1]
    lines = list(csv.DictReader(io.StringIO((await delivery_api.get(f"/api/v1/{path}/csv")).text)))
    assert ("counts", "", "accepted", "3") in {tuple(line.values()) for line in lines}


async def test_only_the_twenty_largest_domains_and_a_hundred_links_are_shown(
    delivery_api: httpx.AsyncClient, delivery: Delivering, seed: Seed
) -> None:
    people = seed.subscribers(130)
    seed.execute("UPDATE subscriptions.subscriber SET email_key = id || '@d' || mod(id, 25) || '.example'")
    issue_id = seed.published_issue(people)
    told = [Told("Click", seq, NOON, link=f"https://example.com/{seq}") for seq in range(1, 131)]
    store_events(seed, issue_id, people, *told, Told("Click", 2, NOON, link="https://example.com/1"))
    await roll_up(delivery, seed)
    report = await _get(delivery_api, f"issues/{issue_id}/report")
    domains = report["domains"]
    assert len(domains) == 21
    assert domains[-1]["domain"] is None
    assert sum(one["recipients"] for one in domains) == sum(one["clicked"] for one in domains) == 130
    assert len(report["links"]) == 100
    assert (report["links"][0]["url"], report["links"][0]["unique"]) == ("https://example.com/1", 2)


async def test_an_issue_that_was_never_published_and_a_newsletter_that_is_none_have_no_report(
    delivery_api: httpx.AsyncClient,
) -> None:
    for path in (
        "issues/99/report",
        "issues/99/report/csv",
        "newsletters/99/engagement",
        "newsletters/99/engagement/csv",
    ):
        answer = await delivery_api.get(f"/api/v1/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_last_ten_issues_of_a_newsletter_come_newest_first_with_the_figures_of_their_reports(
    delivery_api: httpx.AsyncClient, delivery: Delivering, seed: Seed
) -> None:
    people = seed.subscribers(2)
    issues = [seed.published_issue(people) for _ in range(11)]
    await delivery.send_all_due()
    store_events(seed, issues[-1], people, Told("Open", 1, NOON), Told("Delivery", 1, NOON), Told("Delivery", 2, NOON))
    await roll_up(delivery, seed)
    engagement = await _get(delivery_api, "newsletters/1/engagement")
    assert [one["issue_id"] for one in engagement["issues"]] == issues[:0:-1]
    newest = engagement["issues"][0]
    report = await _get(delivery_api, f"issues/{issues[-1]}/report")
    for name in ("opens", "clicks", "rates", "delivered", "as_of", "complaints", "unsubscribes"):
        assert newest[name] == report[name], name
    assert newest["rates"]["opened"] == 0.5
    text = (await delivery_api.get("/api/v1/newsletters/1/engagement/csv")).text
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["issue_id"] for line in lines] == [str(one) for one in issues[:0:-1]]
    assert (lines[0]["rate_opened"], lines[0]["clicks_unique"]) == ("0.5", "not measured")


async def test_figures_stay_when_deliveries_and_events_are_removed(
    delivery_api: httpx.AsyncClient, delivery: Delivering, seed: Seed
) -> None:
    people = seed.subscribers(3)
    issue_id = seed.published_issue(people)
    await delivery.send_all_due()
    store_events(seed, issue_id, people, Told("Delivery", 1, NOON), Told("Click", 1, NOON, link="https://example.com"))
    seed.execute("UPDATE delivery.issue_run SET finished_at = finished_at - interval '900 days'")
    # Nothing is removed before it is in the figures.
    for _ in range(5):
        await retain(delivery.context)
    assert seed.count("delivery.provider_event") == 2
    await roll_up(delivery, seed)
    before = await _get(delivery_api, f"issues/{issue_id}/report")
    for _ in range(5):
        await delivery.retain()
    assert seed.count("delivery.provider_event") == seed.count("delivery.delivery") == 0
    assert seed.count("delivery.issue_run", "outcomes_removed_at IS NOT NULL") == 1
    await roll_up(delivery, seed)
    assert await _get(delivery_api, f"issues/{issue_id}/report") == before
    assert before["clicks"]["unique"] == 1


async def test_an_issue_is_measured_when_its_mails_asked_for_it(
    delivery_api: httpx.AsyncClient, delivery: Delivering, seed: Seed, monkeypatch: Any
) -> None:
    real = delivery.context.composer.newsletter_mail

    def tracked(*arguments: Any) -> Any:
        mail = real(*arguments)
        assert isinstance(mail, Message)
        return Message(
            **{name: getattr(mail, name) for name in Message.__struct_fields__ if name != "track_opens"},
            track_opens=True,
        )

    monkeypatch.setattr(type(delivery.context.composer), "newsletter_mail", lambda _, *arguments: tracked(*arguments))
    issue_id = seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    report = await _get(delivery_api, f"issues/{issue_id}/report")
    assert (report["opens"]["measured"], report["opens"]["unique"], report["clicks"]["measured"]) == (True, 0, False)
