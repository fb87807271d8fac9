"""The page that sends an issue: what it shows, and what each of its forms asks of publishing."""

from typing import Any

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser

from ...conftest import Gateway, MakeGateway, csrf_token_of
from ..editor.drafts import API, NUMBER, answer_draft, draft, values_of

BASE = f"/admin/issues/{NUMBER}"
SEND = f"{BASE}/send"
NO_APPROVAL = {
    "is_required": False, "state": "none", "version": None, "requested_by": None, "requested_at": None,
    "request_note": "", "decided_by": None, "decided_at": None, "decision_note": "",
}  # fmt: skip

AUDIENCE = {
    "issue_id": NUMBER,
    "newsletter_id": 1,
    "segment_id": None,
    "count": 980,
    "excluded": {"pending": 40, "unsubscribed": 75, "outside_segment": 0, "suppressed": 20, "erased": 3},
    "sample": [{"id": 12, "email": "ada@example.com", "name": "Ada"}],
    "as_of": "2026-03-01T12:00:00Z",
    "previous": None,
    "token": "shown-token",
}


def answer_all(gateway: Gateway, **changes: Any) -> None:
    answer_draft(gateway, **changes)
    gateway.publishing.answer("POST", f"{API}/audience", body=AUDIENCE)
    gateway.publishing.answer("POST", f"{API}/checks", body={"is_blocked": False, "findings": []})
    gateway.publishing.answer("GET", f"{API}/approval", body=NO_APPROVAL)


@pytest.fixture
async def publisher(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    answer_all(gateway)
    return client


async def post(client: httpx.AsyncClient, path: str, **data: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **data})


async def test_it_says_how_many_people_from_whom_and_why_not_the_others(publisher: httpx.AsyncClient) -> None:
    page = (await publisher.get(SEND)).text
    assert "Send to 980 people" in page
    assert "Weekly &lt;weekly@example.com&gt;" in page
    for reason, count in (("Never confirmed", 40), ("Left", 75), ("May not be mailed", 20)):
        assert f'{reason}</th><td role="cell" class="numeric">{count}</td>' in page
    assert "ada@example.com" in page


async def test_publishing_sends_the_audience_that_was_shown_and_the_key_of_the_page(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    gateway.publishing.answer("POST", f"{API}/publish", status=202, body=draft(status="publishing"))
    held = values_of((await publisher.get(SEND)).text)
    response = await post(
        publisher, SEND, when="now", audience_token="shown-token", audience_count="980",
        version=held["version"], idempotency_key=held["idempotency_key"],
    )  # fmt: skip
    assert (response.status_code, response.headers["location"]) == (303, BASE)
    sent = gateway.publishing.last
    assert sent.json == {"audience": {"token": "shown-token", "growth_max": 98, "shrinkage_max": 98}}
    assert sent.headers["idempotency-key"] == held["idempotency_key"]


async def test_an_audience_that_has_changed_much_is_shown_anew_and_nothing_is_sent(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    gateway.publishing.refuse("POST", f"{API}/publish", 409, "audience-changed", detail="980 people were shown.")
    page = await post(publisher, SEND, when="now", audience_token="shown-token", audience_count="980", version="3")
    assert page.status_code == 409
    assert "980 people were shown." in page.text
    assert "Send to 980 people" in page.text


@pytest.mark.parametrize(("when", "in_readers"), [("later", False), ("readers", True)])
async def test_a_schedule_is_a_local_time_with_its_zone(
    gateway: Gateway, publisher: httpx.AsyncClient, when: str, in_readers: bool
) -> None:
    gateway.publishing.answer("POST", f"{API}/schedule", body=draft(status="scheduled"))
    response = await post(publisher, SEND, when=when, at="2026-12-24T08:00", time_zone=" Europe/Berlin ", version="3")
    assert (response.status_code, response.headers["location"]) == (303, BASE)
    assert gateway.publishing.last.json == {
        "audience": None,
        "at": "2026-12-24T08:00",
        "time_zone": "Europe/Berlin",
        "occurrence": None,
        "in_reader_time_zone": in_readers,
    }


async def test_a_time_that_comes_twice_is_asked_about_with_everything_kept(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    errors = [{"pointer": "/occurrence", "detail": "This time comes twice."}]
    gateway.publishing.refuse("POST", f"{API}/schedule", 422, "invalid-input", errors=errors)
    page = await post(publisher, SEND, when="later", at="2026-10-25T02:30", time_zone="Europe/Paris", version="3")
    assert page.status_code == 422
    assert 'id="occurrence-error"' in page.text
    held = values_of(page.text)
    assert (held["at"], held["time_zone"]) == ("2026-10-25T02:30", "Europe/Paris")
    assert 'value="later" checked' in page.text


async def test_time_zones_are_offered_and_one_that_there_is_not_is_said_at_its_field(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    page = (await publisher.get(SEND)).text
    assert 'list="time-zones"' in page
    assert '<option value="Asia/Tokyo"></option>' in page
    errors = [{"pointer": "/time_zone", "detail": "There is no such time zone."}]
    gateway.publishing.refuse("POST", f"{API}/schedule", 422, "invalid-input", errors=errors)
    page = (await post(publisher, SEND, when="later", at="2026-10-25T02:30", time_zone="Tokio", version="3")).text
    assert 'id="time_zone-error"' in page
    assert values_of(page)["time_zone"] == "Tokio"


async def test_a_schedule_without_a_time_is_refused_here(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    page = await post(publisher, SEND, when="later", version="3")
    assert page.status_code == 422
    assert 'id="at-error"' in page.text
    assert not [one for one in gateway.publishing.received if one.path.endswith("/schedule")]


async def test_a_scheduled_issue_becomes_a_draft_again(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    answer_all(
        gateway, status="scheduled", scheduled_at="2026-12-24T07:00:00Z", scheduled_local="2026-12-24T08:00:00",
        scheduled_time_zone="Europe/Berlin", in_reader_time_zone=True,
    )  # fmt: skip
    wave = {
        "due_at": "2026-12-24T07:00:00Z", "is_fallback": True, "is_past": False, "recipients": 12,
        "time_zones": ["Europe/Berlin"],
    }  # fmt: skip
    gateway.publishing.answer("GET", f"{API}/waves", body={"waves": [wave]})
    page = (await publisher.get(SEND)).text
    assert "24 December 2026, 08:00 Europe/Berlin</time>, on each reader" in page
    assert "Europe/Berlin and everybody whose time zone is not known" in page
    gateway.publishing.answer("DELETE", f"{API}/schedule", body=draft())
    response = await post(publisher, f"{BASE}/unschedule")
    assert (response.status_code, response.headers["location"]) == (303, f"{BASE}/edit")


async def test_test_mails_go_to_the_addresses_however_they_are_parted(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    gateway.publishing.answer("POST", f"{API}/test", status=202, body={"sent": 2, "subject": "[Test] Winter"})
    response = await post(publisher, f"{BASE}/test", to="ada@example.com;\n grace@example.com", idempotency_key="k")
    assert (response.status_code, response.headers["location"]) == (303, SEND)
    assert gateway.publishing.last.json == {"to": ["ada@example.com", "grace@example.com"]}


async def test_a_test_mail_that_is_refused_says_why_at_its_field(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    errors = [{"pointer": "/to/0", "detail": "Nobody confirmed has this address."}]
    gateway.publishing.refuse("POST", f"{API}/test", 422, "invalid-input", errors=errors)
    page = await post(publisher, f"{BASE}/test", to="who@example.com")
    assert page.status_code == 422
    assert "Nobody confirmed has this address." in page.text
    assert values_of(page.text)["to"] == "who@example.com"
    assert (await post(publisher, f"{BASE}/test", to=" ")).status_code == 422


async def test_the_test_mail_is_to_ones_own_address_or_it_is_said_that_there_is_none(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    page = (await publisher.get(SEND)).text
    assert "to" not in values_of(page)
    assert "Your account has no e-mail address." in page
    assert "confirmed subscribers" in page
    gateway.sql("UPDATE gateway.user_account SET email = 'author@example.com', email_key = 'author@example.com'")
    page = (await publisher.get(SEND)).text
    assert values_of(page)["to"] == "author@example.com"
    assert "Your account has no e-mail address." not in page
    # What was typed, even if it is nothing, stays.
    assert "to" not in values_of((await post(publisher, f"{BASE}/test", to="")).text)


@pytest.mark.parametrize("inbox", ["http://127.0.0.1:8085/inbox", None])
async def test_only_in_a_local_set_up_does_the_test_mail_have_a_link_to_the_sandboxs_inbox(
    inbox: str | None, make_gateway: MakeGateway
) -> None:
    gateway = await make_gateway(sandbox_inbox_url=inbox)
    client = await gateway.signed_in()
    answer_all(gateway)
    page = LexborHTMLParser((await client.get(SEND)).text)
    links = [link.attributes["href"] for link in page.css("section[aria-labelledby=test-title] a[rel=external]")]
    assert links == ([] if inbox is None else [inbox])


@pytest.mark.parametrize(
    ("senders", "said"),
    [
        ({"sending": {"state": "paused", "reason": "A bad day"}}, "All sending is paused. Reason: A bad day"),
        ({"sending": {"state": "backing_off", "reason": None}}, "Sending is backing off, and resumes by itself."),
        ({"sending": {"state": "running", "reason": None}, "replicas": []}, "No sender is running."),
        ({"sending": {"state": "running", "reason": None}}, None),
    ],
)
async def test_that_nothing_leaves_at_present_is_said_before_somebody_sends(
    gateway: Gateway, publisher: httpx.AsyncClient, senders: dict[str, Any], said: str | None
) -> None:
    replica = {"id": "a", "host": "a", "seen_at": "2026-03-01T12:00:00Z"}
    gateway.delivery.answer("GET", "/api/v1/senders", body={"replicas": [replica], **senders})
    page = (await publisher.get(SEND)).text
    assert ('href="/admin/sending">Look at sending' in page) == (said is not None)
    assert said is None or said in page


async def test_an_issue_for_nobody_cannot_be_sent_now_only_scheduled(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    body = {**AUDIENCE, "count": 0, "sample": []}
    gateway.publishing.answer("POST", f"{API}/audience", body=body)
    page = (await publisher.get(SEND)).text
    assert "Send to 0" not in page
    assert "As things are, nobody would get “" in page
    assert 'value="now" disabled' in page
    assert 'value="later" checked' in page
    assert ">Schedule it</button>" in page
    # However many there are then: that it is none is nothing to hold on to.
    assert "audience_token" not in values_of(page)


async def test_approval_is_asked_for_and_decided_about_the_version_that_was_shown(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    approval = {**NO_APPROVAL, "is_required": True, "state": "requested", "version": 3, "requested_by": "user:99"}
    gateway.publishing.answer("GET", f"{API}/approval", body=approval)
    page = (await publisher.get(SEND)).text
    assert "It can be sent once somebody else has approved it." in page
    assert "Send to 980 people" not in page
    gateway.publishing.answer("POST", f"{API}/approval/decision", body={**approval, "state": "approved"})
    response = await post(publisher, f"{BASE}/approval/decision", version="3", decision="approved", note="Fine.")
    assert response.status_code == 303
    assert gateway.publishing.last.json == {"decision": "approved", "version": 3, "note": "Fine."}
    gateway.publishing.answer("POST", f"{API}/approval", status=201, body=approval)
    assert (await post(publisher, f"{BASE}/approval", note="Please.")).status_code == 303
    assert gateway.publishing.last.json == {"note": "Please."}
    gateway.publishing.refuse("POST", f"{API}/approval/decision", 409, "nothing-to-decide", detail="It was saved.")
    page_again = await post(publisher, f"{BASE}/approval/decision", version="3", decision="refused", note="No.")
    assert (page_again.status_code, "It was saved." in page_again.text) == (409, True)
    assert values_of(page_again.text)["note"] == "No."


async def test_nobody_decides_about_their_own_request(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    [(number,)] = gateway.sql("SELECT id FROM gateway.user_account")
    approval = {**NO_APPROVAL, "state": "requested", "version": 3, "requested_by": f"user:{number}"}
    gateway.publishing.answer("GET", f"{API}/approval", body=approval)
    page = (await publisher.get(SEND)).text
    assert "Somebody else decides." in page
    assert "Do not approve" not in page


async def test_what_blocks_is_named_and_there_is_no_button(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    finding = {"code": "subject-empty", "severity": "blocks", "detail": "It has no subject.", "advice": "", "line": 1}
    gateway.publishing.answer("POST", f"{API}/checks", body={"is_blocked": True, "findings": [finding]})
    page = (await publisher.get(SEND)).text
    assert "It has no subject." in page
    assert "Send to" not in page


async def test_an_editor_reviews_and_a_publisher_sends(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'editor'")
    page = await publisher.get(SEND)
    assert "Your role does not include sending." in page.text
    assert (await post(publisher, SEND, when="now")).status_code == 403
    gateway.sql("UPDATE gateway.user_role SET role = 'analyst'")
    assert (await publisher.get(SEND)).status_code == 403


async def test_an_issue_that_is_out_leads_to_its_page(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    answer_all(gateway, status="sending")
    response = await publisher.get(SEND)
    assert (response.status_code, response.headers["location"]) == (303, BASE)


async def test_a_version_that_nobody_looked_at_is_not_sent(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    held = values_of((await publisher.get(SEND)).text)
    answer_all(gateway, version=4, title="Saved by a colleague")
    page = await post(publisher, SEND, when="now", version=held["version"])
    assert page.status_code == 409
    assert "saved since this page was shown, so nothing was sent" in page.text
    assert values_of(page.text)["version"] == "4"
    assert not [one for one in gateway.publishing.received if one.path.endswith("/publish")]


@pytest.mark.parametrize("path", [SEND, f"{BASE}/test", f"{BASE}/unschedule"])
async def test_who_comes_second_to_an_issue_that_is_out_is_led_to_it(
    gateway: Gateway, publisher: httpx.AsyncClient, path: str
) -> None:
    answer_all(gateway, status="sending")
    for method, action in (("POST", "publish"), ("POST", "test"), ("DELETE", "schedule")):
        gateway.publishing.refuse(method, f"{API}/{action}", 409, "already-published")
    response = await post(publisher, path, when="now", version="3", to="ada@example.com")
    assert (response.status_code, response.headers["location"]) == (303, BASE)


async def test_a_form_whose_end_is_not_known_keeps_its_key_and_a_refused_one_gets_another(
    gateway: Gateway, publisher: httpx.AsyncClient
) -> None:
    key = "0123456789abcdef"
    gateway.publishing.fail("POST", f"{API}/test", httpx.ReadError("reset"))
    page = await post(publisher, f"{BASE}/test", to="ada@example.com", idempotency_key=key)
    assert f'value="{key}"' in page.text
    gateway.publishing.refuse("POST", f"{API}/test", 422, "invalid-input", detail="No.")
    page = await post(publisher, f"{BASE}/test", to="ada@example.com", idempotency_key=key)
    assert f'value="{key}"' not in page.text


async def test_what_no_header_can_carry_is_no_fault_of_ours(gateway: Gateway, publisher: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", f"{API}/test", status=202, body={"sent": 1, "subject": "x"})
    response = await post(publisher, f"{BASE}/test", to="ada@example.com", idempotency_key="€\r\nX-Injected: 1")
    assert response.status_code == 303
    sent = gateway.publishing.last.headers
    assert "x-injected" not in sent
    assert sent["idempotency-key"].isascii()
