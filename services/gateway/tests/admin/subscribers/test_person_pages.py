"""`/admin/subscribers/{id}` without JavaScript: the story, what is noted, leaving, export and erasure."""

from collections.abc import Awaitable
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar.status_codes import HTTP_303_SEE_OTHER

from broadsheet_gateway.accounts.sessions import KEY_PREFIX

from ...conftest import Gateway, Received, csrf_token_of

API = "/api/v1/subscribers"
PAGE = "/admin/subscribers"
SUBSCRIPTION: dict[str, Any] = {
    "newsletter_id": 7,
    "state": "confirmed",
    "created_at": "2026-03-01T08:00:00Z",
    "confirmed_at": "2026-03-01T09:00:00.4Z",
    "unsubscribed_at": None,
    "import_id": None,
    "suppressed": None,
}
PERSON: dict[str, Any] = {
    "id": 41,
    "email": "le.guin@example.com",
    "name": "Ursula Le Guin",
    "created_at": "2026-03-01T08:00:00Z",
    "attributes": {"city": "Portland", "member": True, "visits": 3, "note": "two\nlines"},
    "tags": ["vip", "speaker"],
    "subscriptions": [
        SUBSCRIPTION,
        {**SUBSCRIPTION, "newsletter_id": 9, "confirmed_at": "2026-03-02T09:00:00Z", "import_id": 5,
         "suppressed": {"kind": "hard_bounce", "origin": "postmark", "since": "2026-03-05T09:00:00Z",
                        "postmark_refusal": None}},
        {**SUBSCRIPTION, "newsletter_id": 8, "state": "unsubscribed", "unsubscribed_at": "2026-03-10T18:20:00Z"},
    ],
    "flags": ["role"],
}  # fmt: skip
CONSENT: dict[str, Any] = {
    "id": 1, "subscriber_id": 41, "newsletter_id": 7, "kind": "requested", "occurred_at": "2026-03-01T08:00:00Z",
    "source": "form", "actor": None, "ip": "192.0.2.7", "user_agent": "Firefox", "form_url": None,
    "wording": {"version": 2, "text": "One issue a week."}, "mail": "confirmation", "reason": None,
}  # fmt: skip
MAIL: dict[str, Any] = {
    "id": "14-3", "issue_id": 14, "subscriber_id": 41, "status": "accepted", "parked": False, "message_id": None,
    "attempt_id": None, "error_code": None, "reason": None, "settled_at": "2026-03-12T09:30:00Z",
}  # fmt: skip
EVENTS = [
    {"record_type": "Delivery", "occurred_at": "2026-03-12T09:31:00Z", "received_at": "2026-03-12T09:31:00Z",
     "detail": {}},
    {"record_type": "Open", "occurred_at": "2026-03-12T09:40:00Z", "received_at": "2026-03-12T09:40:00Z",
     "detail": {"platform": "Desktop", "machine": "apple"}},
    {"record_type": "Click", "occurred_at": "2026-03-12T09:41:00Z", "received_at": "2026-03-12T09:41:00Z",
     "detail": {"link": "https://example.com/leases"}},
]  # fmt: skip
SUPPRESSION: dict[str, Any] = {
    "id": 2, "email": "le.guin@example.com", "stream": "broadcast", "kind": "hard_bounce", "reason": "Mailbox gone",
    "origin": "postmark", "note": None, "active": False, "created_at": "2026-03-05T09:00:00Z",
    "changed_at": "2026-03-06T09:00:00Z", "postmark_told": True, "postmark_refusal": None,
}  # fmt: skip
ATTRIBUTES = [
    {"name": "born", "type": "date", "label": "Birthday", "created_at": "2026-03-01T08:00:00Z"},
    {"name": "city", "type": "text", "label": "Home town", "created_at": "2026-03-01T08:00:00Z"},
    {"name": "member", "type": "boolean", "label": "Member", "created_at": "2026-03-01T08:00:00Z"},
    {"name": "note", "type": "text", "label": "Note", "created_at": "2026-03-01T08:00:00Z"},
    {"name": "visits", "type": "number", "label": "Visits", "created_at": "2026-03-01T08:00:00Z"},
]


def page_of(*items: object, cursor: str | None = None) -> dict[str, object]:
    return {"items": list(items), "next_cursor": cursor}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.subscriptions.answer("GET", f"{API}/41", body=PERSON, etag='"a1"')
    confirmed = {
        **CONSENT,
        "kind": "confirmed",
        "source": "link",
        "wording": None,
        "occurred_at": "2026-03-01T09:00:00Z",
    }
    gateway.subscriptions.answer("GET", f"{API}/41/consent", body=page_of(CONSENT, confirmed))
    gateway.subscriptions.answer("GET", "/api/v1/attributes", body=page_of(*ATTRIBUTES))
    gateway.delivery.answer("GET", "/api/v1/deliveries", body=page_of(MAIL, cursor="older"))
    gateway.delivery.answer("GET", "/api/v1/deliveries/14-3", body={**MAIL, "queued_at": None, "events": EVENTS})
    gateway.delivery.answer("GET", "/api/v1/suppressions", body=page_of(SUPPRESSION))
    gateway.publishing.answer(
        "GET",
        "/api/v1/newsletters",
        body=page_of({"id": 7, "name": "The Weekly"}, {"id": 8, "name": "Harbour Notes"}, {"id": 9, "name": "Notes"}),
    )
    gateway.publishing.answer("GET", "/api/v1/issues", body=page_of({"id": 14, "title": "Queues"}))
    return client


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **fields})


def asked(gateway: Gateway, method: str, path: str) -> list[Received]:
    return [one for one in gateway.subscriptions.received if (one.method, one.path) == (method, path)]


def key_in(page: httpx.Response) -> str:
    return page.text.split('name="idempotency_key" value="')[1].split('"')[0]


async def age_proof(gateway: Gateway) -> None:
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        data = msgspec.json.decode(await cast("Awaitable[bytes]", gateway.redis.hget(key, "data")))
        data["authenticated_at_us"] -= 901 * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))


async def test_the_story_is_told_from_all_services_newest_first(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/41")
    assert page.status_code == 200
    told = [
        "Followed a link of “Queues”",
        "https://example.com/leases",
        "Opened “Queues” (probably by a program)",
        "“Queues” arrived",
        "“Queues” was taken by the mail provider",
        "Left Harbour Notes",
        "The suppression on the stream broadcast was lifted",
        "The address was suppressed on the stream broadcast: mail to it bounced",
        "Mailbox gone",
        "Confirmed Notes, by import 5",
        "Confirmed The Weekly, by the link in the mail",
        "Asked for The Weekly, by the sign-up form",
        "One issue a week.",
        "First seen here",
    ]
    story = page.text.split('<ol class="timeline">')[1]
    assert sorted(told, key=story.index) == told
    # One confirmation, although the subscription and the record both have it.
    assert story.count("<p>Confirmed The Weekly") == 1
    for text in ("Home town", "Portland", "vip", "speaker", "Address of an office", "No issue is sent: mail to it"):
        assert text in page.text
    assert f'href="{PAGE}/41?mails=older"' in page.text
    [found] = [one for one in gateway.delivery.received if one.path == "/api/v1/deliveries"]
    assert found.query == "subscriber_id=41&limit=10"
    [about] = [one for one in gateway.delivery.received if one.path == "/api/v1/suppressions"]
    assert about.query == "email=le.guin%40example.com&limit=50"


async def test_earlier_mails_are_asked_by_their_cursor(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/41?mails=older")
    assert "Back to the newest mails" in page.text
    [found] = [one for one in gateway.delivery.received if one.path == "/api/v1/deliveries"]
    assert found.query == "subscriber_id=41&limit=10&cursor=older"


async def test_parts_that_do_not_answer_are_named_and_the_rest_is_shown(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.delivery.answer("GET", "/api/v1/deliveries", status=503)
    gateway.delivery.answer("GET", "/api/v1/suppressions", status=503)
    gateway.publishing.answer("GET", "/api/v1/newsletters", status=503)
    page = await owner.get(f"{PAGE}/41")
    assert page.status_code == 200
    assert "does not say what was mailed to them" in page.text
    assert "does not say whether the address is suppressed" in page.text
    assert "does not say what they agreed to" not in page.text
    assert "Confirmed Newsletter 7, by the link in the mail" in page.text
    gateway.subscriptions.answer("GET", f"{API}/41/consent", status=503)
    page = await owner.get(f"{PAGE}/41")
    assert "does not say what they agreed to" in page.text
    assert "Confirmed Newsletter 7" in page.text


async def test_a_mail_whose_events_are_gone_is_still_told(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.refuse("GET", "/api/v1/deliveries/14-3", 410, "removed")
    page = await owner.get(f"{PAGE}/41")
    assert "“Queues” was taken by the mail provider" in page.text
    assert "What was reported of it is not kept any more" in page.text


async def test_nobody_of_that_number_is_a_404(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("GET", f"{API}/42", 404, "not-found")
    for path in ("42", "x", "42/edit", "42/unsubscribe", "42/erase", "42/export"):
        assert (await owner.get(f"{PAGE}/{path}", headers={"accept": "text/html"})).status_code == 404


async def test_support_of_one_newsletter_sees_no_more_than_that(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'support', newsletter_id = 7")
    page = await owner.get(f"{PAGE}/41")
    assert page.status_code == 200
    assert "Your role does not show what they agreed to; what was mailed to them" in page.text
    assert gateway.delivery.received == []
    assert asked(gateway, "GET", f"{API}/41/consent") == []
    for path in ("export", "erase"):
        assert f"{PAGE}/41/{path}" not in page.text
        assert (await owner.get(f"{PAGE}/41/{path}")).status_code == 403
    leaving = await owner.get(f"{PAGE}/41/unsubscribe")
    assert '<option value="7">The Weekly</option>' in leaving.text
    assert 'value="9"' not in leaving.text
    assert "Every newsletter" not in leaving.text


FIELDS = {
    "version": '"a1"', "name": "Ursula Le Guin", "tags": "vip\r\nspeaker",
    "attribute_1_name": "born", "attribute_1": "", "attribute_2_name": "city", "attribute_2": "Portland",
    "attribute_3_name": "member", "attribute_3": "true", "attribute_4_name": "note", "attribute_4": "two\r\nlines",
    "attribute_5_name": "visits", "attribute_5": "3",
}  # fmt: skip


async def test_what_is_noted_is_changed_and_nothing_else_is_sent(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/41/edit")
    for text in ('value="Portland"', "vip\nspeaker</textarea>", "two\nlines</textarea>", 'value="3"', "Home town"):
        assert text in page.text
    gateway.subscriptions.answer("PATCH", f"{API}/41", body=PERSON)
    changed = {
        **FIELDS, "name": "Ursula", "tags": "vip\r\n paper ", "attribute_1": "1929-10-21", "attribute_2": "",
        "attribute_3": "false", "attribute_5": "2.5",
    }  # fmt: skip
    done = await send(owner, f"{PAGE}/41/edit", **changed)
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/41")
    [request] = asked(gateway, "PATCH", f"{API}/41")
    assert request.headers["if-match"] == '"a1"'
    assert request.json == {
        "name": "Ursula",
        "tags": ["vip", "paper"],
        "attributes": {"born": "1929-10-21", "city": None, "member": False, "visits": 2.5},
    }


async def test_a_form_that_changes_nothing_sends_no_member(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("PATCH", f"{API}/41", body=PERSON)
    assert (await send(owner, f"{PAGE}/41/edit", **FIELDS)).status_code == HTTP_303_SEE_OTHER
    [request] = asked(gateway, "PATCH", f"{API}/41")
    assert request.json == {}


async def test_faults_of_the_notes_are_at_their_fields(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await send(owner, f"{PAGE}/41/edit", **{**FIELDS, "attribute_5": "many", "name": "Kept"})
    assert page.status_code == 422
    assert 'id="attribute_5-error"' in page.text
    assert 'value="Kept"' in page.text
    assert asked(gateway, "PATCH", f"{API}/41") == []
    large = await send(owner, f"{PAGE}/41/edit", **{**FIELDS, "attribute_5": "9" * 30})
    assert (large.status_code, "The number is too large." in large.text) == (422, True)
    errors = [
        {"pointer": "/attributes/born", "detail": "A date as YYYY-MM-DD is expected."},
        {"pointer": "/tags/1", "detail": "A tag may be at most 100 characters long."},
    ]
    gateway.subscriptions.refuse("PATCH", f"{API}/41", 422, "invalid-input", errors=errors)
    page = await send(owner, f"{PAGE}/41/edit", **{**FIELDS, "attribute_1": "yesterday"})
    assert page.status_code == 422
    for text in ('id="attribute_1-error"', "A date as YYYY-MM-DD", 'id="tags-error"', 'value="yesterday"'):
        assert text in page.text
    # A date picker would drop it.
    assert 'name="attribute_1" type="text"' in page.text


async def test_a_change_by_somebody_else_is_said_and_what_was_typed_is_kept(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.refuse("PATCH", f"{API}/41", 412, "precondition-failed")
    gateway.subscriptions.answer("GET", f"{API}/41", body={**PERSON, "name": "Theirs"}, etag='"b2"')
    page = await send(owner, f"{PAGE}/41/edit", **{**FIELDS, "name": "Mine"})
    assert page.status_code == 412
    assert "was changed meanwhile" in page.text
    assert 'value="Mine"' in page.text
    assert 'name="version" value="&#34;b2&#34;"' in page.text
    assert asked(gateway, "PATCH", f"{API}/41")[0].headers["if-match"] == '"a1"'


async def test_without_the_attributes_they_stay_as_they_are(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", "/api/v1/attributes", status=503)
    page = await owner.get(f"{PAGE}/41/edit")
    assert "stay as they are" in page.text
    gateway.subscriptions.answer("PATCH", f"{API}/41", body=PERSON)
    only = {name: FIELDS[name] for name in ("version", "tags")}
    assert (await send(owner, f"{PAGE}/41/edit", name="U", **only)).status_code == HTTP_303_SEE_OTHER
    assert asked(gateway, "PATCH", f"{API}/41")[0].json == {"name": "U"}


@pytest.mark.parametrize(("chosen", "sent"), [("7", 7), ("all", None)])
async def test_they_are_unsubscribed_after_a_question(
    gateway: Gateway, owner: httpx.AsyncClient, chosen: str, sent: int | None
) -> None:
    page = await owner.get(f"{PAGE}/41/unsubscribe?newsletter_id=9")
    assert "only they can subscribe again" in page.text
    assert '<option value="9" selected>' in page.text
    assert "Harbour Notes" not in page.text  # left already
    gateway.subscriptions.answer("POST", f"{API}/41/unsubscribe", body=PERSON)
    key = key_in(page)
    done = await send(owner, f"{PAGE}/41/unsubscribe", newsletter_id=chosen, idempotency_key=key)
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/41")
    [request] = asked(gateway, "POST", f"{API}/41/unsubscribe")
    assert (request.json, request.headers["idempotency-key"]) == ({"newsletter_id": sent}, key)


async def test_leaving_nothing_or_without_an_answer_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    for nothing in ("", "0", "9" * 30, "\u0663"):
        page = await send(owner, f"{PAGE}/41/unsubscribe", newsletter_id=nothing)
        assert page.status_code == 422
        assert 'id="newsletter_id-error"' in page.text
    assert asked(gateway, "POST", f"{API}/41/unsubscribe") == []
    gateway.subscriptions.answer("POST", f"{API}/41/unsubscribe", status=503)
    page = await send(owner, f"{PAGE}/41/unsubscribe", newsletter_id="7", idempotency_key="k-1")
    assert page.status_code == 503
    assert '<option value="7" selected>' in page.text
    assert key_in(page) == "k-1"


async def test_the_export_is_the_apis_and_needs_a_fresh_proof(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/41/export")
    assert f'href="{API}/41/export" download="subscriber-41.json"' in page.text
    gateway.subscriptions.answer("GET", f"{API}/41/export", body={"subscriber_id": 41, "records": {}})
    assert (await owner.get(f"{API}/41/export")).json()["subscriber_id"] == 41
    await age_proof(gateway)
    asks = await owner.get(f"{PAGE}/41/export", headers={"accept": "text/html"})
    assert (asks.status_code, asks.headers["location"]) == (
        HTTP_303_SEE_OTHER, f"/admin/confirm?next={PAGE}/41/export",
    )  # fmt: skip
    assert (await owner.get(f"{API}/41/export")).status_code == 403


async def test_nobody_is_erased_without_the_tick(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/41/erase")
    assert "It cannot be undone." in page.text
    refused = await send(owner, f"{PAGE}/41/erase", idempotency_key="k-1")
    assert refused.status_code == 422
    assert 'id="understood-error"' in refused.text
    assert asked(gateway, "POST", f"{API}/41/erase") == []
    erasure = {"subscriber_id": 41, "erased_at": "2026-03-12T09:00:00Z", "finished": False}
    gateway.subscriptions.answer("POST", f"{API}/41/erase", body=erasure)
    done = await send(owner, f"{PAGE}/41/erase", idempotency_key=key_in(page), understood="yes")
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, PAGE)
    [request] = asked(gateway, "POST", f"{API}/41/erase")
    assert (request.json, request.headers["idempotency-key"]) == ({}, key_in(page))


async def test_why_somebody_cannot_be_erased_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("POST", f"{API}/41/erase", 409, "conflict", detail="The address changes now.")
    page = await send(owner, f"{PAGE}/41/erase", idempotency_key="k-1", understood="yes")
    assert page.status_code == 409
    assert "The address changes now." in page.text
    assert key_in(page) == "k-1"


@pytest.mark.parametrize("path", ["41", "41/edit", "41/unsubscribe", "41/export", "41/erase"])
@pytest.mark.parametrize(("role", "opens"), [("owner", True), ("support", True), ("editor", False), ("analyst", False)])
async def test_roles_open_the_pages(
    gateway: Gateway, owner: httpx.AsyncClient, path: str, role: str, opens: bool
) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    assert (await owner.get(f"{PAGE}/{path}")).status_code == (200 if opens else 403)
    if path in {"41/edit", "41/unsubscribe", "41/erase"} and not opens:
        assert (await send(owner, f"{PAGE}/{path}", understood="yes", newsletter_id="7")).status_code == 403


PENDING = {
    **PERSON,
    "subscriptions": [
        {**SUBSCRIPTION, "newsletter_id": 9},
        {**SUBSCRIPTION, "state": "pending", "confirmed_at": None, "confirmation_queued_at": "2026-03-01T08:30:00Z"},
    ],
}


async def test_who_signed_somebody_up_is_named(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    (user_id,) = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'author'")[0]
    by_hand = {**CONSENT, "source": "api", "actor": f"user:{user_id}", "wording": None}
    gateway.subscriptions.answer("GET", f"{API}/41/consent", body=page_of(by_hand))
    assert "<dt>Done by</dt><dd>author</dd>" in (await owner.get(f"{PAGE}/41")).text


async def test_a_confirmation_is_sent_again_with_the_forms_key(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/41", body=PENDING, etag='"a1"')
    gateway.subscriptions.answer("POST", f"{API}/41/send-confirmation", 202, body=PENDING)
    page = await owner.get(f"{PAGE}/41")
    assert page.text.count("Send the confirmation again") == 1
    assert "was last sent <time" in page.text
    assert "1 March 2026, 08:30" in page.text
    key = key_in(page)
    for _ in range(2):
        sent = await send(owner, f"{PAGE}/41/send-confirmation", newsletter_id="7", idempotency_key=key)
        assert (sent.status_code, sent.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/41")
    asks = asked(gateway, "POST", f"{API}/41/send-confirmation")
    assert [one.json for one in asks] == [{"newsletter_id": 7}] * 2
    assert {one.headers["idempotency-key"] for one in asks} == {key}
    assert "is queued once more" in (await owner.get(f"{PAGE}/41")).text


@pytest.mark.parametrize(
    ("slug", "detail"),
    [
        ("not-pending", "They have confirmed already."),
        ("not-pending", "They left, and can be asked again only after they sign up again themselves."),
        ("address-blocked", "Mail to this address is held back: The address bounced."),
        ("sent-lately", "They were sent one a moment ago."),
    ],
)
async def test_a_confirmation_that_cannot_be_sent_again_says_why(
    gateway: Gateway, owner: httpx.AsyncClient, slug: str, detail: str
) -> None:
    gateway.subscriptions.answer("GET", f"{API}/41", body=PENDING, etag='"a1"')
    gateway.subscriptions.refuse("POST", f"{API}/41/send-confirmation", 409, slug, detail=detail)
    page = await send(owner, f"{PAGE}/41/send-confirmation", newsletter_id="7", idempotency_key="x" * 20)
    assert page.status_code == 409
    assert detail in page.text
    assert 'id="confirmation-error-7"' in page.text
    assert key_in(page) != "x" * 20


async def test_only_who_may_write_has_a_confirmation_sent_again(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", f"{API}/41", body=PENDING, etag='"a1"')
    assert (await send(owner, f"{PAGE}/41/send-confirmation", newsletter_id="x")).status_code == 404
    gateway.subscriptions.answer("GET", f"{API}/41", body=PERSON, etag='"a1"')
    assert "Send the confirmation again" not in (await owner.get(f"{PAGE}/41")).text
    gateway.sql("UPDATE gateway.user_role SET role = 'analyst'")
    assert (await send(owner, f"{PAGE}/41/send-confirmation", newsletter_id="7")).status_code == 403
    assert asked(gateway, "POST", f"{API}/41/send-confirmation") == []
