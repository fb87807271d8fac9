"""The home page: what is sent now, what waits for somebody, the last issues and the growth."""

import asyncio
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from broadsheet_gateway.admin import first_event

from ...conftest import Answer, Gateway
from ..issue_answers import COUNTS, answer_stream, issue, newsletter, signed_in_as

RUNNING = {"state": "running", "reason": None, "back_off_until": None}
REPLICA = {"id": "1", "host": "sender-1", "seen_at": "2026-01-02T03:04:05Z", "draining": False}
GROWTH = {
    "subscribers_at_end": 120,
    "joined": 30,
    "left": 10,
    "time_zone": "UTC",
    "days": [
        {
            "day": str(date(2026, 1, 1) + timedelta(days=number)),
            "joined": number,
            "left": 1,
            "subscribers": 100 + number,
        }
        for number in range(30)
    ],
}
RATES = {
    "of": "delivered", "opened": 0.5, "opened_without_machines": 0.412, "clicked": None,
    "clicked_without_machines": None, "unsubscribed": 0.0, "complained": 0.0, "bounced": 0.0,
}  # fmt: skip
MEASURED = {"measured": True, "unique": 5, "total": 9, "unique_without_machines": 4, "machine": 1}
NOT_MEASURED = {"measured": False, "unique": None, "total": None, "unique_without_machines": None, "machine": None}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "sending": {**RUNNING, "replicas": 1},
        "issues_in_progress": 0,
        "issues": [],
        "uncertain": [],
        "failing_webhooks": [],
        "imports_with_rejects": [],
        **changes,
    }


def moving(**changes: Any) -> dict[str, Any]:
    return {
        "issue_id": 7,
        "newsletter_id": 1,
        "title": "The first issue",
        "status": "sending",
        "status_reason": None,
        "counts": COUNTS,
        "parked": 0,
        "settled_per_s": 120.0,
        "seconds_left": 200,
        **changes,
    }


def answer_all(gateway: Gateway, *issues: dict[str, Any], **of_event: Any) -> None:
    gateway.publishing.answer("GET", "/api/v1/issues", body={"items": list(issues), "next_cursor": None})
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [newsletter()], "next_cursor": None})
    gateway.delivery.answer("GET", "/api/v1/senders", body={"sending": RUNNING, "replicas": [REPLICA]})
    answer_stream(gateway.delivery, "/api/v1/events", "dashboard", event(**of_event))
    gateway.subscriptions.answer("GET", "/api/v1/newsletters/1/report", body=GROWTH)
    gateway.delivery.answer("GET", "/api/v1/newsletters/1/engagement", body={"issues": []})


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    return await gateway.signed_in()


async def test_what_is_sent_now_has_its_bar_its_rate_and_the_time_left(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_all(gateway, issue(), issues=[moving()])
    page = (await author.get("/admin/dashboard")).text
    assert "Welcome author" in page
    assert 'role="progressbar"' in page
    assert "120 a second · about 4 minutes left" in page
    assert ">2 January 2026, 04:04 Europe/Paris<" in page
    assert 'data-live-stream="/api/v1/events"' in page
    assert 'data-live-sign="running|||1;7=sending;;;"' in page


async def test_an_issue_that_only_the_stream_names_is_shown_too(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway, issue(status="sent"), issues=[moving(issue_id=2, title="An old one", status="paused")])
    page = (await author.get("/admin/dashboard")).text
    assert 'href="/admin/issues/2"' in page
    assert "An old one" in page
    assert 'data-issue="2"' in page


async def test_what_waits_for_a_person_is_a_line_with_a_link_each(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(
        gateway,
        issue(id=9, status="draft", title="To be read"),
        issue(),
        uncertain=[
            {"issue_id": 7, "newsletter_id": 1, "uncertain": 5, "parked": 2},
            {"issue_id": 3, "newsletter_id": 1, "uncertain": 1, "parked": 0},
        ],
        failing_webhooks=[{"endpoint_id": 4, "failing_since": "2026-01-02T03:04:05Z", "disabled": True}],
        imports_with_rejects=[
            {"import_id": 21, "newsletter_id": 1, "status": "done", "rejected": 1_200, "finished_at": None},
            {"import_id": 22, "newsletter_id": 1, "status": "failed", "rejected": 0, "finished_at": None},
        ],
    )
    lacking = newsletter(id=2, name="Harbour", is_default=False, is_ready=False, missing=["postal_address"])
    gateway.publishing.answer(
        "GET", "/api/v1/newsletters", body={"items": [newsletter(requires_approval=True), lacking], "next_cursor": None}
    )
    gateway.publishing.answer("GET", "/api/v1/issues/9/approval", body={"state": "requested"})
    paused = {"state": "paused", "reason": "The provider asked us to", "back_off_until": None}
    gateway.delivery.answer("GET", "/api/v1/senders", body={"sending": paused, "replicas": [REPLICA]})
    page = (await author.get("/admin/dashboard")).text
    for text, path in (
        ("2 deliveries of “The first issue” may or may not have been sent.", "/admin/issues/7"),
        ("The mail provider is asked about 1 delivery of issue 3.", "/admin/issues/3"),
        ("Webhook 4 was switched off after failing since 2 January 2026, 03:04 UTC.", "/admin/webhooks/4"),
        ("Import 21 left 1,200 rows out.", "/admin/imports/21"),
        ("Import 22 failed.", "/admin/imports/22"),
        ("“To be read” waits for approval.", "/admin/issues/9/edit"),
        ("All sending is paused. Reason: The provider asked us to", "/admin/sending"),
        ("Harbour cannot be sent yet: it lacks a postal address.", "/admin/settings/newsletters/2"),
    ):
        assert text in page
        assert f'href="{path}"' in page


async def test_who_has_one_newsletter_is_not_led_to_the_imports_of_all(gateway: Gateway) -> None:
    owner = await signed_in_as(gateway, "owner", 1)
    rejects = [{"import_id": 21, "newsletter_id": 1, "status": "checked", "rejected": 1, "finished_at": None}]
    answer_all(gateway, issue(status="sent"), imports_with_rejects=rejects)
    page = (await owner.get("/admin/dashboard")).text
    assert "Import 21 is checked and waits for its start; 1 row would be left out." in page
    assert "/admin/imports/21" not in page


async def test_a_draft_that_asked_nobody_waits_for_nobody(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway, issue(id=9, status="draft"))
    items = [newsletter(requires_approval=True)]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": items, "next_cursor": None})
    gateway.publishing.answer("GET", "/api/v1/issues/9/approval", body={"state": "void"})
    page = (await author.get("/admin/dashboard")).text
    assert "waits for approval" not in page
    assert "Nothing. All is well." in page


async def test_the_last_issues_have_their_figures_and_say_what_was_not_measured(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_all(gateway, issue(status="sent"))
    figures = {"issue_id": 7, "delivered": 9_301, "opens": MEASURED, "clicks": NOT_MEASURED, "rates": RATES}
    gateway.delivery.answer("GET", "/api/v1/newsletters/1/engagement", body={"issues": [figures]})
    page = (await author.get("/admin/dashboard")).text
    assert "9,301" in page
    assert "41.2%" in page
    assert page.count("not measured") == 1
    assert ">0.0%<" not in page


async def test_the_growth_is_a_chart_with_its_numbers_behind_it(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway, issue(status="sent"))
    page = (await author.get("/admin/dashboard")).text
    assert "Joined and left by day (UTC)" in page
    assert page.count('class="series-2" x=') == 30 + 1
    assert '<th role="rowheader" scope="row">30 Jan 2026</th>' in page
    assert gateway.subscriptions.last.path == "/api/v1/newsletters/1/report"


async def test_another_newsletters_growth_can_be_chosen(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway, issue(status="sent"))
    items = [newsletter(), newsletter(id=2, name="Harbour", is_default=False)]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": items, "next_cursor": None})
    gateway.subscriptions.answer("GET", "/api/v1/newsletters/2/report", body={**GROWTH, "subscribers_at_end": 4_321})
    page = (await author.get("/admin/dashboard?newsletter=2")).text
    assert "4,321" in page
    assert '<a href="/admin/dashboard?newsletter=2" aria-current="page">Harbour</a>' in page
    assert "120" in (await author.get("/admin/dashboard?newsletter=nonsense")).text


async def test_a_new_installation_is_told_its_first_steps(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway)
    items = [newsletter(is_ready=False, missing=["from_email"])]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": items, "next_cursor": None})
    gateway.subscriptions.answer(
        "GET", "/api/v1/newsletters/1/report", body={**GROWTH, "subscribers_at_end": 0, "days": []}
    )
    page = (await author.get("/admin/dashboard")).text
    for path in ("/admin/settings/newsletters/1", "/admin/imports/new", "/newsletters/weekly", "/admin/issues"):
        assert f'<a href="{path}">' in page
    assert "Done" not in page
    answer_all(gateway, issue(status="sent"))
    assert "First steps" not in (await author.get("/admin/dashboard")).text


async def test_each_source_that_does_not_answer_is_named_and_the_rest_is_shown(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_all(gateway, issue(status="sent"))
    gateway.delivery.fail("GET", "/api/v1/events", httpx.ConnectError("refused"))
    gateway.subscriptions.fail("GET", "/api/v1/newsletters/1/report", httpx.ConnectError("refused"))
    gateway.delivery.answer("GET", "/api/v1/newsletters/1/engagement", body={"unexpected": True})
    page = await author.get("/admin/dashboard")
    assert page.status_code == 200
    assert "No answer about deliveries, webhooks, imports." in page.text
    assert "The report does not answer." in page.text
    assert "The subscriptions service does not answer" in page.text
    assert "The first issue" in page.text
    assert "All is well" not in page.text


async def test_a_stream_that_says_nothing_is_no_answer(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_all(gateway, issue())
    for content in (b"retry: 2000\n\n:\n\n", b"data: {\n\n", b"data: {}\n\n"):
        gateway.delivery.answer("GET", "/api/v1/events", body=content, content_type="text/event-stream")
        page = await author.get("/admin/dashboard")
        assert page.status_code == 200
        assert "No answer about deliveries, webhooks, imports." in page.text


async def test_a_stream_that_does_not_begin_holds_nothing_up(
    gateway: Gateway, author: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> Answer:
        await asyncio.sleep(3600)
        return Answer()

    answer_all(gateway, issue())
    gateway.delivery.answers["GET", "/api/v1/events"] = never
    monkeypatch.setattr(first_event, "FIRST_EVENT_TIMEOUT_S", 0.05)
    page = await author.get("/admin/dashboard")
    assert page.status_code == 200
    assert "No answer about deliveries, webhooks, imports." in page.text
    assert "The first issue" in page.text


async def test_without_a_role_the_page_says_whom_to_ask_and_asks_nothing(gateway: Gateway) -> None:
    nobody = await gateway.signed_in("nobody")
    gateway.sql("DELETE FROM gateway.user_role")
    gateway.publishing.received.clear()
    page = await nobody.get("/admin/dashboard")
    assert page.status_code == 200
    assert "Welcome nobody" in page.text
    assert "You have no role yet" in page.text
    assert "All is well" not in page.text
    assert gateway.publishing.received == gateway.delivery.received == []


async def test_a_role_sees_what_it_may_and_nothing_else_is_asked(gateway: Gateway) -> None:
    analyst = await signed_in_as(gateway, "analyst", 1)
    answer_all(
        gateway, issue(status="sent"), sending=None, uncertain=None, failing_webhooks=None, imports_with_rejects=None
    )
    lacking = newsletter(is_ready=False, missing=["from_email"])
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": [lacking], "next_cursor": None})
    page = (await analyst.get("/admin/dashboard")).text
    assert "/api/v1/senders" not in {request.path for request in gateway.delivery.received}
    assert "Sending is" not in page
    assert "/admin/sending" not in page
    assert "The Weekly cannot be sent yet" in page
    assert 'href="/admin/settings/newsletters/1"' not in page
    support = await signed_in_as(gateway, "support", 1)
    gateway.subscriptions.received.clear()
    assert "Growth" not in (await support.get("/admin/dashboard")).text
    assert gateway.subscriptions.received == []
