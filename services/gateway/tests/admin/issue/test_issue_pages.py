"""One issue: its progress, its report, its recipients, its history, and the forms of an operator."""

from typing import Any

import httpx
import pytest

from ...conftest import Gateway, csrf_token_of
from ..issue_answers import COUNTS, answer_stream, issue, newsletter, post, signed_in_as

REPORT: dict[str, Any] = {
    "issue_id": 7,
    "newsletter_id": 1,
    "published_at": "2026-01-02T03:04:05Z",
    "as_of": "2026-01-03T03:04:05Z",
    "waiting": 1_500,
    "older_events_wait": False,
    "time_zone": "UTC",
    "counts": COUNTS,
    "delivered": 2_900,
    "delivery_reported": True,
    "bounces": {"total": 4, "hard": 3, "soft": 1, "other": 0, "by_type": []},
    "complaints": 1,
    "unsubscribes": 12,
    "opens": {"measured": True, "unique": 1_500, "total": 2_000, "unique_without_machines": 1_200, "machine": 300},
    "clicks": {"measured": True, "unique": 200, "total": 300, "unique_without_machines": 180, "machine": 20},
    "rates": {
        "of": "delivered", "opened": 0.517, "opened_without_machines": 0.414, "clicked": 0.069,
        "clicked_without_machines": 0.062, "unsubscribed": 0.004, "complained": 0.0003, "bounced": 0.001,
    },
    "over_time": [
        {"begins_at": "2026-01-02T03:00:00Z", "ends_at": "2026-01-02T04:00:00Z", "delivered": 2_900, "opened": 900,
         "clicked": 120},
        {"begins_at": "2026-01-05T00:00:00Z", "ends_at": "2026-01-06T00:00:00Z", "delivered": 0, "opened": 40,
         "clicked": 6},
    ],
    "links": [{"url": "https://example.com/a", "unique": 150, "unique_without_machines": 140, "total": 222,
               "machine": 9},
              {"url": None, "unique": 5, "unique_without_machines": 5, "total": 6, "machine": 0}],
    "winner": None,
    "variants": [],
    "domains": [],
}  # fmt: skip
NOT_MEASURED = {"measured": False, "unique": None, "total": None, "unique_without_machines": None, "machine": None}
PART = {
    "recipients": 1_000, "accepted": 990, "delivered": 980, "bounced": 1, "complained": 0, "unsubscribed": 1,
    "opened": 500, "opened_without_machines": 490, "clicked": 50, "clicked_without_machines": 49,
}  # fmt: skip
TEST = {
    "variant_count": 3, "share_percent": 20, "decide_by": "clicks", "sample_min": 500,
    "look_at": "2026-01-02T05:00:00Z", "winner": None, "reason": None, "decided_at": None, "decided_by": None,
}  # fmt: skip


def answer_issue(gateway: Gateway, **changes: Any) -> None:
    gateway.publishing.answer("GET", "/api/v1/issues/7", body=issue(**changes))
    gateway.publishing.answer("GET", "/api/v1/newsletters/1", body=newsletter())
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": [], "next_cursor": None})
    gateway.delivery.answer("GET", "/api/v1/issues/7/report", body=REPORT)


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    answer_issue(gateway)
    return client


async def test_a_draft_has_its_summary_and_leads_to_the_editor(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, status="draft", published_at=None, subject="Read this", preheader="Before you do")
    page = (await author.get("/admin/issues/7")).text
    assert '<a class="button" href="/admin/issues/7/edit">' in page
    assert "Read this" in page
    assert "Before you do" in page
    assert "Progress" not in page
    assert gateway.delivery.received == []


async def test_a_draft_that_was_cancelled_has_nothing_to_count(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, status="cancelled", published_at=None)
    page = (await author.get("/admin/issues/7")).text
    assert "This issue was cancelled" in page
    assert "/admin/issues/7/edit" not in page
    assert 'action="/admin/issues/7/duplicate"' in page
    assert gateway.delivery.received == []


async def test_a_scheduled_issue_says_when_by_its_own_clock(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, status="scheduled", published_at=None, scheduled_at="2026-03-29T06:00:00Z")
    page = (await author.get("/admin/issues/7")).text
    assert "This issue goes out by itself" in page
    assert ">29 March 2026, 08:00 Europe/Paris<" in page


async def test_an_issue_in_progress_is_watched_and_says_how_long_it_takes(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    told = {
        "issue_id": 7, "newsletter_id": 1, "title": "The first issue", "status": "sending", "status_reason": None,
        "counts": COUNTS, "parked": 0, "settled_per_s": 0.5, "seconds_left": 30,
    }  # fmt: skip
    answer_stream(gateway.delivery, "/api/v1/issues/7/events", "issue", told)
    page = (await author.get("/admin/issues/7")).text
    assert 'data-live-stream="/api/v1/issues/7/events" data-live-event="issue" data-live-sign="sending||0"' in page
    assert "30 a minute · less than a minute left" in page


async def test_a_finished_issue_is_not_watched(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, status="sent", finished_at="2026-01-02T04:00:00Z")
    page = (await author.get("/admin/issues/7")).text
    assert "data-live-stream" not in page
    assert "/api/v1/issues/7/events" not in {request.path for request in gateway.delivery.received}


async def test_the_report_shows_people_with_and_without_machines(gateway: Gateway, author: httpx.AsyncClient) -> None:
    page = (await author.get("/admin/issues/7")).text
    for shown in (
        "2,900", "41.4%", "1,200 people", "with machines 51.7%, 1,500", "6.2%", "180 people", "3 for good, 1 for now",
        "1,500 newer events are not in it yet", "The first 72 hours (UTC)", "By day after that (UTC)",
        "https://example.com/a", "All further links", "222", 'href="/api/v1/issues/7/report/csv"',
    ):  # fmt: skip
        assert shown in page, shown


async def test_what_was_not_tracked_is_not_measured(gateway: Gateway, author: httpx.AsyncClient) -> None:
    rates = REPORT["rates"] | {"opened_without_machines": None, "clicked_without_machines": None}
    body = REPORT | {
        "opens": NOT_MEASURED,
        "clicks": NOT_MEASURED,
        "rates": rates,
        "domains": [PART | {"domain": "a.b"}],
    }
    gateway.delivery.answer("GET", "/api/v1/issues/7/report", body=body)
    page = (await author.get("/admin/issues/7")).text
    assert page.count(">not measured<") == len(("opened", "clicked", "of the domain"))
    assert ">50.0%<" not in page
    assert "Links, by people" not in page


async def test_a_report_that_is_not_there_yet_or_not_answered_says_so(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.delivery.answer("GET", "/api/v1/issues/7/report", body=REPORT | {"as_of": None})
    assert "No figures yet" in (await author.get("/admin/issues/7")).text
    gateway.delivery.fail("GET", "/api/v1/issues/7/report", httpx.ConnectError("refused"))
    page = await author.get("/admin/issues/7")
    assert page.status_code == 200
    assert "so the report is missing" in page.text


async def test_an_open_test_shows_its_versions_and_lets_one_be_chosen(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_issue(gateway, ab_test={"others": [], "share_percent": 20})
    gateway.publishing.answer("GET", "/api/v1/issues/7/ab-test", body=TEST)
    variants = [PART | {"variant": 1}, PART | {"variant": 2, "clicked_without_machines": 98}, PART | {"variant": 0}]
    gateway.delivery.answer("GET", "/api/v1/issues/7/report", body=REPORT | {"variants": variants})
    page = (await author.get("/admin/issues/7")).text
    assert "20% of the audience are in the test" in page
    assert "The figures are looked at on" in page
    assert ">2 January 2026, 06:00 Europe/Paris<" in page
    assert "10.0%" in page
    assert '<option value="3">Version 3</option>' in page
    gateway.publishing.answer("POST", "/api/v1/issues/7/winner", body=TEST)
    assert (await post(author, "/admin/issues/7/winner", winner="2", winner_sure="yes")).status_code == 303
    assert gateway.publishing.received[-1].json == {"variant": 2}


async def test_a_test_that_is_over_says_who_won_and_why(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, ab_test={"others": [], "share_percent": 20})
    over = TEST | {"winner": 2, "reason": "by_hand", "decided_at": "2026-01-02T05:00:00Z", "decided_by": "user:1"}
    gateway.publishing.answer("GET", "/api/v1/issues/7/ab-test", body=over)
    page = (await author.get("/admin/issues/7")).text
    assert "Version 2 won: somebody chose it." in page
    assert "by author." in page
    assert "Choose the winner now" not in page


@pytest.mark.parametrize(
    ("verb", "fields", "service", "body"),
    [
        ("pause", {"reason": " The link is wrong "}, "delivery", {"reason": "The link is wrong"}),
        ("pause", {"reason": " "}, "delivery", {}),
        ("resume", {}, "delivery", None),
        ("retry-failed", {}, "delivery", None),
        ("archive", {"in_archive": "yes"}, "publishing", {"in_archive": True}),
        ("archive", {"in_archive": "no"}, "publishing", {"in_archive": False}),
        ("cancel", {}, "publishing", None),
        (
            "decide-uncertain",
            {"choice": "give_up", "note": " ", "sure": "yes", "form_key": "k-1"},
            "delivery",
            {"choice": "give_up", "note": None},
        ),
    ],
)
async def test_a_form_is_one_call_and_comes_back_with_a_word(
    gateway: Gateway, author: httpx.AsyncClient, verb: str, fields: dict[str, str], service: str, body: object
) -> None:
    asked = getattr(gateway, service)
    asked.answer("POST", f"/api/v1/issues/7/{verb}", body={"issue_id": 7})
    answer = await post(author, f"/admin/issues/7/{verb}", **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/issues/7")
    assert asked.last.path == f"/api/v1/issues/7/{verb}"
    assert (asked.last.json if asked.last.body else None) == body
    assert asked.last.headers.get("idempotency-key") == fields.get("form_key")
    assert 'class="notice notice-success"' in (await author.get("/admin/issues/7")).text


async def test_a_duplicate_opens_in_the_editor_and_is_made_once(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues/7/duplicate", status=201, body=issue(id=8))
    answer = await post(author, "/admin/issues/7/duplicate", form_key="k-2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/issues/8/edit")
    assert gateway.publishing.last.headers["idempotency-key"] == "k-2"


@pytest.mark.parametrize(
    ("verb", "service", "slug", "fields"),
    [
        ("pause", "delivery", "not-pausable", {"reason": "Kept as it was typed"}),
        ("resume", "delivery", "not-paused", {}),
        ("retry-failed", "delivery", "issue-cancelled", {}),
        ("archive", "publishing", "not-published", {"in_archive": "yes"}),
        ("winner", "publishing", "winner-chosen", {"winner": "1", "winner_sure": "yes"}),
        ("duplicate", "publishing", "invalid-state", {}),
        ("cancel", "publishing", "already-sent", {}),
        ("decide-uncertain", "delivery", "not-parked", {"choice": "mark_sent", "note": "Kept as it was typed",
                                                        "sure": "yes"}),
    ],
)  # fmt: skip
async def test_a_refusal_is_said_on_the_page_with_everything_typed(
    gateway: Gateway, author: httpx.AsyncClient, verb: str, service: str, slug: str, fields: dict[str, str]
) -> None:
    answer_issue(gateway, parked=2)
    detail = "It is too late for that."
    getattr(gateway, service).refuse("POST", f"/api/v1/issues/7/{verb}", 409, slug, detail=detail)
    answer = await post(author, f"/admin/issues/7/{verb}", **fields)
    assert answer.status_code == 409
    assert detail in answer.text
    assert 'role="alert"' in answer.text
    if "Kept as it was typed" in fields.values():
        assert "Kept as it was typed" in answer.text


async def test_a_service_that_is_away_is_said_on_the_page(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.delivery.fail("POST", "/api/v1/issues/7/pause", httpx.ConnectError("refused"))
    answer = await post(author, "/admin/issues/7/pause", reason="Wait")
    assert answer.status_code == 503
    assert 'value="Wait"' in answer.text


@pytest.mark.parametrize(
    ("verb", "fields", "field"),
    [
        ("pause", {"reason": "x" * 301}, "reason"),
        ("winner", {"winner": "5", "winner_sure": "yes"}, "winner"),
        ("winner", {"winner": "2"}, "winner_sure"),
        ("decide-uncertain", {"choice": "", "sure": "yes"}, "choice"),
        ("decide-uncertain", {"choice": "cancel", "sure": "yes"}, "choice"),
        ("decide-uncertain", {"choice": "give_up"}, "sure"),
        ("decide-uncertain", {"choice": "give_up", "sure": "yes", "note": "x" * 1001}, "note"),
    ],
)
async def test_a_fault_stands_at_its_field_and_nothing_is_asked(
    gateway: Gateway, author: httpx.AsyncClient, verb: str, fields: dict[str, str], field: str
) -> None:
    answer_issue(gateway, parked=2, ab_test={"others": []})
    gateway.publishing.answer("GET", "/api/v1/issues/7/ab-test", body=TEST)
    answer = await post(author, f"/admin/issues/7/{verb}", **fields)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    received = [*gateway.delivery.received, *gateway.publishing.received]
    assert [request.path for request in received if request.method == "POST"] == []


async def test_cancelling_says_how_many_are_not_sent_yet(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_issue(gateway, counts=COUNTS | {"audience": 5_007, "pending": 5_000})
    page = (await author.get("/admin/issues/7/cancel")).text
    assert "5,002 of 5,007 recipients have not been sent to yet" in page
    assert 'action="/admin/issues/7/cancel"' in page
    assert [request.method for request in gateway.publishing.received] == ["GET"]


async def test_no_form_is_taken_from_another_site_or_without_its_token(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    token = await csrf_token_of(author)
    gateway.delivery.received.clear()
    browser = {"sec-fetch-site": "same-origin"}
    refused = await author.post("/admin/issues/7/pause", data={"csrf_token": "0" * 64}, headers=browser)
    assert refused.status_code in {303, 403}
    elsewhere = {"origin": "https://evil.example"}
    assert (
        await author.post("/admin/issues/7/pause", data={"csrf_token": token}, headers=elsewhere)
    ).status_code == 403
    assert gateway.delivery.received == []


async def test_recipients_are_listed_by_outcome_and_page_by_page(gateway: Gateway, author: httpx.AsyncClient) -> None:
    row = {
        "id": "7-42", "issue_id": 7, "subscriber_id": 42, "status": "uncertain", "parked": True, "reason": None,
        "settled_at": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": [row], "next_cursor": "bmV4dA"})
    page = (await author.get("/admin/issues/7/recipients?status=uncertain&cursor=YQ")).text
    assert gateway.delivery.last.query == "status=uncertain&limit=50&cursor=YQ"
    assert '<a href="/admin/deliveries/7-42">Subscriber 42</a>' in page
    assert "Waits for a decision" in page
    assert ">2 January 2026, 04:04 Europe/Paris<" in page
    assert 'href="/admin/issues/7/recipients?status=uncertain&amp;cursor=bmV4dA"' in page
    await author.get("/admin/issues/7/recipients?status=nonsense")
    assert gateway.delivery.last.query == "limit=50"
    gateway.delivery.fail("GET", "/api/v1/issues/7/deliveries", httpx.ConnectError("refused"))
    assert "The recipients could not be loaded" in (await author.get("/admin/issues/7/recipients")).text


ROWS = [
    {"id": f"7-{number}", "issue_id": 7, "subscriber_id": number, "status": "failed", "parked": False,
     "reason": "406 inactive", "settled_at": None}
    for number in (42, 43)
]  # fmt: skip
ADA = {"id": 42, "email": "ada@example.com", "name": "Ada <Lovelace>", "tags": []}


def people(*found: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(found), "next_cursor": None}


async def test_recipients_are_named_by_address_in_one_call(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": ROWS, "next_cursor": None})
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body=people(ADA))
    for path in ("/admin/issues/7/recipients", "/admin/issues/7"):
        gateway.subscriptions.received.clear()
        page = (await author.get(path)).text
        assert [one.query for one in gateway.subscriptions.received] == ["id=42&id=43&limit=100"]
        assert '<a href="/admin/subscribers/42">ada@example.com</a> <bdi>Ada &lt;Lovelace&gt;</bdi>' in page
        assert 'Subscriber 42 · <a href="/admin/deliveries/7-42">What happened' in page
        assert "Erased subscriber" in page
        assert "/admin/subscribers/43" not in page
        assert "Addresses cannot be read" not in page


async def test_while_addresses_cannot_be_read_recipients_are_numbers(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": ROWS, "next_cursor": None})
    gateway.subscriptions.fail("GET", "/api/v1/subscribers", httpx.ConnectError("refused"))
    for path in ("/admin/issues/7/recipients", "/admin/issues/7"):
        page = await author.get(path)
        assert page.status_code == 200
        assert "Addresses cannot be read now" in page.text
        assert '<a href="/admin/deliveries/7-42">Subscriber 42</a>' in page.text
        assert "Erased subscriber" not in page.text


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("ada@", ["email_prefix=ada%40&newsletter_id=1&limit=50"]),
        (" Ada ", ["email_prefix=Ada&newsletter_id=1&limit=50", "name_prefix=Ada&newsletter_id=1&limit=50"]),
        ("42", ["id=42&newsletter_id=1"]),
    ],
)
async def test_a_recipient_is_found_by_address_name_or_number(
    gateway: Gateway, author: httpx.AsyncClient, typed: str, asked: list[str]
) -> None:
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": ROWS[:1], "next_cursor": "bmV4dA"})
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body=people(ADA, ADA | {"id": 50, "email": "b@c.de"}))
    page = await author.get("/admin/issues/7/recipients", params={"q": typed, "status": "failed"})
    assert sorted(one.query for one in gateway.subscriptions.received) == sorted(asked)
    assert gateway.delivery.last.query == "status=failed&limit=50&subscriber_id=42&subscriber_id=50"
    assert f'value="{typed.strip()}"' in page.text
    assert "ada@example.com" in page.text
    assert f"&amp;q={typed.strip().replace('@', '%40')}&amp;cursor=bmV4dA" in page.text


async def test_a_search_that_finds_nobody_or_cannot_be_made_says_so(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body=people())
    page = (await author.get("/admin/issues/7/recipients", params={"q": "no@body.example"})).text
    assert "No recipient fits “no@body.example”." in page
    assert all("/deliveries" not in one.path for one in gateway.delivery.received)
    gateway.subscriptions.fail("GET", "/api/v1/subscribers", httpx.ConnectError("refused"))
    page = (await author.get("/admin/issues/7/recipients", params={"q": "no@body.example"})).text
    assert 'id="q-error"' in page
    assert 'value="no@body.example"' in page


async def test_who_may_not_read_subscribers_sees_numbers_and_finds_nobody(gateway: Gateway) -> None:
    publisher = await signed_in_as(gateway, "publisher")
    answer_issue(gateway)
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": ROWS, "next_cursor": None})
    page = (await publisher.get("/admin/issues/7/recipients", params={"q": "ada"})).text
    assert '<a href="/admin/deliveries/7-42">Subscriber 42</a>' in page
    assert 'name="q"' not in page
    assert "subscriber_id" not in gateway.delivery.last.query
    assert gateway.subscriptions.received == []


async def test_support_of_one_newsletter_is_shown_addresses_of_that_one(gateway: Gateway) -> None:
    support = await signed_in_as(gateway, "support", 1)
    answer_issue(gateway)
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": ROWS, "next_cursor": None})
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body=people(ADA))
    page = (await support.get("/admin/issues/7/recipients")).text
    assert gateway.subscriptions.last.query == "id=42&id=43&limit=100&newsletter_id=1"
    assert "ada@example.com" in page


async def test_the_history_names_who_did_what(gateway: Gateway, author: httpx.AsyncClient) -> None:
    await gateway.add_api_key(name="importer")
    steps = [
        {"id": 2, "at": "2026-01-02T03:04:05Z", "actor": "schedule", "step": "published", "version": 3, "note": ""},
        {"id": 1, "at": "2026-01-02T03:00:00Z", "actor": "key:1", "step": "created", "version": 1, "note": ""},
    ]
    gateway.publishing.answer("GET", "/api/v1/issues/7/history", body={"items": steps, "next_cursor": "c3RlcHM"})
    decision = {
        "id": 1, "issue_id": 7, "action": "mark_sent", "ranges": [[1, 3], [9, 9]], "decided_by": "user:1",
        "note": "Their log has them", "decided_at": "2026-01-02T05:00:00Z",
    }  # fmt: skip
    gateway.delivery.answer("GET", "/api/v1/issues/7/decisions", body={"items": [decision], "next_cursor": None})
    page = (await author.get("/admin/issues/7/history?decisions=ZGVj")).text
    for shown in (
        "the schedule",
        "API key importer",
        "Published",
        "Marked as sent",
        "4 deliveries",
        "Their log has them",
    ):
        assert shown in page
    assert 'href="/admin/issues/7/history?steps=c3RlcHM"' in page
    assert gateway.delivery.last.query == "limit=50&cursor=ZGVj"


@pytest.mark.parametrize(
    ("in_archive", "segment_id", "is_in"),
    [(True, None, True), (True, 4, True), (None, None, True), (None, 4, False), (False, None, False)],
)
async def test_an_archived_issue_links_to_where_everybody_reads_it(
    gateway: Gateway, author: httpx.AsyncClient, in_archive: bool | None, segment_id: int | None, is_in: bool
) -> None:
    answer_issue(gateway, status="sent", in_archive=in_archive, segment_id=segment_id, slug="first")
    page = (await author.get("/admin/issues/7")).text
    assert ('href="/newsletters/weekly/issues/first"' in page) == is_in
    assert ("Take it out of the archive" in page) == is_in
    assert ("Put it into the archive" in page) != is_in


async def test_without_an_archive_there_is_nothing_to_put_an_issue_into(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    answer_issue(gateway, status="sent", in_archive=True, slug="first")
    gateway.publishing.answer("GET", "/api/v1/newsletters/1", body=newsletter(has_archive=False))
    page = (await author.get("/admin/issues/7")).text
    assert "archive" not in page.lower().split("<main")[1]


async def test_a_role_gets_no_form_that_it_may_not_send(gateway: Gateway) -> None:
    analyst = await signed_in_as(gateway, "analyst", 1)
    answer_issue(gateway, parked=2)
    page = (await analyst.get("/admin/issues/7")).text
    assert "Report" in page
    for path in ("pause", "duplicate", "decide-uncertain", "recipients"):
        assert f"/admin/issues/7/{path}" not in page
    assert {request.path for request in gateway.delivery.received} == {
        "/api/v1/issues/7/report", "/api/v1/issues/7/events"
    }  # fmt: skip
    for path in ("pause", "cancel", "duplicate", "winner", "decide-uncertain", "archive", "retry-failed", "resume"):
        assert (await post(analyst, f"/admin/issues/7/{path}")).status_code == 403, path
    assert (await analyst.get("/admin/issues/7/recipients")).status_code == 403


async def test_a_publisher_of_one_newsletter_sees_recipients_and_no_timelines(gateway: Gateway) -> None:
    publisher = await signed_in_as(gateway, "publisher", 1)
    answer_issue(gateway)
    row = {"id": "7-42", "issue_id": 7, "subscriber_id": 42, "status": "failed", "parked": False}
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": [row], "next_cursor": None})
    page = (await publisher.get("/admin/issues/7/recipients")).text
    assert "Subscriber 42" in page
    assert "/admin/deliveries/" not in page
    assert (await publisher.get("/admin/deliveries/7-42")).status_code == 403


@pytest.mark.parametrize("path", ["", "/recipients", "/history", "/cancel"])
async def test_an_unknown_issue_is_a_404(gateway: Gateway, author: httpx.AsyncClient, path: str) -> None:
    gateway.publishing.refuse("GET", "/api/v1/issues/8", 404, "not-found")
    assert (await author.get(f"/admin/issues/8{path}")).status_code == 404
    assert (await author.get(f"/admin/issues/x{path}")).status_code == 404
