"""`/admin/subscribers` without JavaScript: the search, its pages, and signing somebody up."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from litestar.status_codes import HTTP_303_SEE_OTHER

from ...conftest import Gateway, Received, csrf_token_of

API = "/api/v1/subscribers"
PAGE = "/admin/subscribers"
PERSON: dict[str, Any] = {
    "id": 41,
    "email": "le.guin@example.com",
    "name": "Ursula Le Guin",
    "created_at": "2026-03-01T08:00:00Z",
    "attributes": {},
    "tags": ["vip"],
    "subscriptions": [
        {
            "newsletter_id": 7,
            "state": "confirmed",
            "created_at": "2026-03-01T08:00:00Z",
            "confirmed_at": "2026-03-01T09:00:00Z",
            "unsubscribed_at": None,
            "import_id": None,
            "suppressed": None,
        }
    ],
    "flags": [],
}
NEWSLETTERS = [
    {"id": 7, "name": "The Weekly", "archived_at": None},
    {"id": 8, "name": "Harbour Notes", "archived_at": "2026-02-01T08:00:00Z"},
    {"id": 9, "name": "Post-mortems", "archived_at": None},
]


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.subscriptions.answer("GET", API, body={"items": [PERSON], "next_cursor": None})
    gateway.subscriptions.answer("GET", f"{API}/41", body=PERSON, etag='"a1"')
    segment = {"id": 3, "name": "Readers in Berlin", "filter": {"all": []}}
    gateway.subscriptions.answer("GET", "/api/v1/segments", body={"items": [segment], "next_cursor": None})
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": NEWSLETTERS, "next_cursor": None})
    return client


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **fields})


def asked(gateway: Gateway, method: str, path: str) -> list[Received]:
    return [one for one in gateway.subscriptions.received if (one.method, one.path) == (method, path)]


def query_of(gateway: Gateway) -> dict[str, list[str]]:
    return parse_qs(asked(gateway, "GET", API)[-1].query)


async def test_the_list_shows_people_with_their_states(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(PAGE)
    assert page.status_code == 200
    for text in ("le.guin@example.com", "Ursula Le Guin", "The Weekly", "Confirmed", "vip", "Readers in Berlin"):
        assert text in page.text
    assert f'href="{PAGE}/41"' in page.text
    assert query_of(gateway) == {"limit": ["50"]}
    assert "there is more" not in page.text


async def test_everything_that_is_chosen_is_asked_for_and_kept(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", API, body={"items": [PERSON], "next_cursor": "next+page"})
    chosen = {
        "q": " le.g ", "by": "email_prefix", "newsletter_id": "7", "state": "confirmed", "tag": "vip",
        "segment_id": "3", "suppressed": "false", "cursor": "here",
    }  # fmt: skip
    page = await owner.get(PAGE, params=chosen)
    assert query_of(gateway) == {
        "limit": ["50"], "email_prefix": ["le.g"], "newsletter_id": ["7"], "state": ["confirmed"], "tag": ["vip"],
        "segment_id": ["3"], "suppressed": ["false"], "cursor": ["here"],
    }  # fmt: skip
    assert 'value="le.g"' in page.text
    for value in ("email_prefix", "7", "confirmed", "3", "false"):
        assert f'<option value="{value}" selected>' in page.text
    assert "there is more" in page.text  # one person, where a page has fifty
    following = page.text.split('">Next page</a>')[0].rsplit('href="', 1)[1].replace("&amp;", "&")
    assert parse_qs(urlsplit(following).query) == {
        **{name: [value] for name, value in chosen.items()}, "q": ["le.g"], "cursor": ["next+page"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("by", "name"), [("email", "email"), ("name_prefix", "name_prefix"), ("", "email_prefix"), ("x", "email_prefix")]
)
async def test_a_search_is_of_one_kind(gateway: Gateway, owner: httpx.AsyncClient, by: str, name: str) -> None:
    await owner.get(PAGE, params={"q": "ada", "by": by})
    assert query_of(gateway) == {"limit": ["50"], name: ["ada"]}


async def test_what_the_form_cannot_send_is_not_asked_for(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    odd = {"newsletter_id": "-1", "segment_id": "3 or 1", "state": "gone", "suppressed": "maybe", "more": "x"}
    assert (await owner.get(PAGE, params=odd)).status_code == 200
    assert query_of(gateway) == {"limit": ["50"]}


async def test_a_search_that_is_refused_says_why_at_its_field(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [
        {"pointer": "/email", "detail": "This is not an address."},
        {"pointer": "/tag", "detail": "A tag may not hold control characters."},
    ]
    gateway.subscriptions.refuse("GET", API, 422, "invalid-input", errors=errors)
    page = await owner.get(PAGE, params={"q": "ada@", "by": "email", "tag": "x"})
    assert page.status_code == 422
    assert "This is not an address." in page.text.split('id="q-error"')[1].split("</p>")[0]
    assert "control characters" in page.text.split('id="tag-error"')[1].split("</p>")[0]
    gateway.subscriptions.refuse("GET", API, 400, "malformed-request", detail="The cursor is none of ours.")
    assert "The cursor is none of ours." in (await owner.get(PAGE, params={"cursor": "x"})).text


async def test_a_page_with_nobody_leads_on_as_long_as_the_list_does(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", API, body={"items": [], "next_cursor": "on"})
    page = await owner.get(PAGE, params={"tag": "rare"})
    assert f'href="{PAGE}?tag=rare&amp;cursor=on">Look further' in page.text
    gateway.subscriptions.answer("GET", API, body={"items": [], "next_cursor": None})
    assert "Nobody fits" in (await owner.get(PAGE, params={"tag": "rare"})).text
    assert "Nobody yet" in (await owner.get(PAGE)).text


async def test_the_list_says_what_does_not_answer(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.publishing.answer("GET", "/api/v1/newsletters", status=503)
    gateway.subscriptions.answer("GET", "/api/v1/segments", status=503)
    page = await owner.get(PAGE)
    assert "Newsletter 7" in page.text
    gateway.subscriptions.answer("GET", API, status=503)
    page = await owner.get(PAGE, params={"tag": "vip"})
    assert page.status_code == 200
    assert "could not be loaded" in page.text
    assert f'href="{PAGE}?tag=vip">Try again' in page.text


async def test_support_of_one_newsletter_sees_that_one(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'support', newsletter_id = 9")
    page = await owner.get(PAGE)
    assert page.status_code == 200
    assert query_of(gateway) == {"limit": ["50"], "newsletter_id": ["9"]}
    assert '<option value="9" selected>Post-mortems</option>' in page.text
    assert "The Weekly</option>" not in page.text
    assert "/admin/imports" not in page.text
    assert "/admin/attributes" not in page.text
    assert asked(gateway, "GET", "/api/v1/segments") == []
    form = await owner.get(f"{PAGE}/new")
    assert '<option value="9">Post-mortems</option>' in form.text
    assert "The Weekly</option>" not in form.text


async def test_somebody_is_signed_up_with_the_forms_key(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{PAGE}/new")
    assert "asks them to confirm" in page.text
    assert "Harbour Notes" not in page.text  # archived: it takes no sign-ups
    key = page.text.split('name="idempotency_key" value="')[1].split('"')[0]
    gateway.subscriptions.answer("POST", API, status=201, body=PERSON)
    fields = {
        "email": " le.guin@example.com", "name": "Ursula", "newsletter_id": "7", "tags": "vip\r\n\r\n speaker ",
        "idempotency_key": key,
    }  # fmt: skip
    done = await send(owner, f"{PAGE}/new", **fields)
    assert (done.status_code, done.headers["location"]) == (HTTP_303_SEE_OTHER, f"{PAGE}/41")
    [request] = asked(gateway, "POST", API)
    assert request.json == {
        "email": "le.guin@example.com", "name": "Ursula", "newsletter_id": 7, "tags": ["vip", "speaker"],
    }  # fmt: skip
    assert request.headers["idempotency-key"] == key


async def test_a_refused_sign_up_keeps_what_was_typed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    fields = {"email": "ada@", "name": "Ada", "newsletter_id": "9", "tags": "vip", "idempotency_key": "k-1"}
    gateway.subscriptions.refuse(
        "POST",
        API,
        422,
        "invalid-input",
        errors=[
            {"pointer": "/email", "detail": "This is not an address."},
            {"pointer": "/tags/0", "detail": "A tag is too long."},
        ],
    )
    page = await send(owner, f"{PAGE}/new", **fields)
    assert page.status_code == 422
    for text in ('id="email-error"', "This is not an address.", 'id="tags-error"', "A tag is too long."):
        assert text in page.text
    for text in ('value="ada@"', 'value="Ada"', '<option value="9" selected>', "\nvip</textarea>", 'value="k-1"'):
        assert text in page.text
    gateway.subscriptions.answer("POST", API, status=503)
    silent = await send(owner, f"{PAGE}/new", **fields)
    assert silent.status_code == 503
    assert 'value="ada@"' in silent.text


@pytest.mark.parametrize("missing", ["email", "name", "newsletter_id"])
async def test_what_is_missing_is_asked_for_before_anything_is_sent(
    gateway: Gateway, owner: httpx.AsyncClient, missing: str
) -> None:
    fields = {"email": "ada@example.com", "name": "Ada", "newsletter_id": "7", missing: ""}
    page = await send(owner, f"{PAGE}/new", **fields)
    assert page.status_code == 422
    assert f'id="{missing}-error"' in page.text
    assert asked(gateway, "POST", API) == []


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/new"])
@pytest.mark.parametrize(
    ("role", "opens"),
    [("owner", True), ("support", True), ("editor", False), ("publisher", False), ("analyst", False)],
)
async def test_roles_open_the_pages(
    gateway: Gateway, owner: httpx.AsyncClient, path: str, role: str, opens: bool
) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    assert (await owner.get(path)).status_code == (200 if opens else 403)
    assert (f'href="{PAGE}"' in (await owner.get("/admin/dashboard")).text) is opens
