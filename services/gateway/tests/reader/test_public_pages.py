"""What anybody may open, and the forms that anybody may send."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY
from broadsheet_common.process.settings import Secret
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.settings import FORM_BODY_MAX_BYTES

from ..conftest import Gateway, MakeGateway

LINK = {"newsletter": {"id": 1, "name": "The Weekly"}, "state": "pending"}
HTML = {"accept": "text/html,application/xhtml+xml"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def visitor(gateway: Gateway) -> httpx.AsyncClient:
    return await gateway.client()


async def test_the_health_check_is_empty(visitor: httpx.AsyncClient) -> None:
    response = await visitor.get("/health-check")
    assert (response.status_code, response.content) == (200, b"")


async def test_the_home_page_has_the_subscribe_form_under_the_newsletters_name(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    response = await (await gateway.client()).get("/")
    assert response.status_code == 200
    assert "The Weekly" in response.text
    assert 'action="/subscriptions"' in response.text


async def test_the_home_page_stands_while_publishing_is_away(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.publishing.fail("GET", "/api/v1/newsletters", httpx.ConnectError("refused"))
    response = await (await gateway.client()).get("/")
    assert response.status_code == 200
    assert 'action="/subscriptions"' in response.text


async def test_the_newsletters_name_is_not_asked_for_by_every_visitor(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    visitor = await gateway.client()
    for _ in range(5):
        await visitor.get("/")
    assert len(gateway.publishing.received) == 1


async def test_a_sign_up_goes_to_subscriptions_under_the_public_identity(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    response = await visitor.post("/subscriptions", data={"name": "Ada Lovelace", "email": "ada@example.com"})
    assert response.status_code == 200
    assert "inbox" in response.text
    assert "set-cookie" not in response.headers
    request = gateway.subscriptions.last
    assert (request.method, request.path) == ("POST", "/public/subscriptions")
    assert request.json == {
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "newsletter": None,
        "wording_version": None,
        "visitor": {"ip": "127.0.0.1", "user_agent": visitor.headers["user-agent"], "form_url": None},
    }
    identity = gateway.subscriptions.last_identity()
    assert identity == PUBLIC_IDENTITY


async def test_faults_stand_at_their_fields_and_what_was_typed_stays(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    errors = [{"pointer": "/email", "detail": "It has no @."}, {"pointer": "/name", "detail": "Not that name."}]
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 422, "invalid-input", errors=errors)
    response = await visitor.post("/subscriptions", data={"name": '"><script>', "email": "ada.example.com"})
    assert response.status_code == 400
    assert "It has no @." in response.text
    assert "Not that name." in response.text
    assert 'value="ada.example.com"' in response.text
    assert "<script>" not in response.text


@pytest.mark.parametrize("form", [{"name": "Ada"}, {"email": "ada@example.com"}, {"other": "x"}])
async def test_a_missing_field_reaches_the_check_as_an_empty_one(
    gateway: Gateway, visitor: httpx.AsyncClient, form: dict[str, str]
) -> None:
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 422, "invalid-input")
    assert (await visitor.post("/subscriptions", data=form)).status_code == 400
    sent = gateway.subscriptions.last.json
    assert (sent["name"], sent["email"]) == (form.get("name", ""), form.get("email", ""))


async def test_a_sign_up_that_cannot_be_taken_is_a_503_that_loses_nothing(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    for failure in (httpx.ConnectError("refused"), httpx.ReadError("reset")):
        gateway.subscriptions.fail("POST", "/public/subscriptions", failure)
        response = await visitor.post("/subscriptions", data={"name": "Ada", "email": "ada@example.com"})
        assert response.status_code == 503
        assert 'value="ada@example.com"' in response.text
        assert response.headers["retry-after"]
    gateway.subscriptions.refuse("POST", "/public/subscriptions", 500, "internal")
    assert (await visitor.post("/subscriptions", data={"name": "Ada", "email": "ada@example.com"})).status_code == 503
    gateway.subscriptions.fail("POST", "/public/subscriptions", httpx.ReadTimeout("slow"))
    assert (await visitor.post("/subscriptions", data={"name": "Ada", "email": "ada@example.com"})).status_code == 504


async def test_sign_ups_from_another_site_are_taken(visitor: httpx.AsyncClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": "https://blog.example"}
    response = await visitor.post("/subscriptions", data={"name": "Ada", "email": "a@example.com"}, headers=headers)
    assert response.status_code == 200


async def test_sign_ups_are_limited_by_address_and_overall(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(signup_limit_per_ip="2/3600", signup_limit_overall="5/3600")
    form = {"name": "Ada", "email": "ada@example.com"}

    async def sign_up(address: str) -> httpx.Response:
        return await (await gateway.client(address=address)).post("/subscriptions", data=form)

    assert [(await sign_up("192.0.2.1")).status_code for _ in range(3)] == [200, 200, 429]
    refused = await sign_up("192.0.2.1")
    assert 'value="ada@example.com"' in refused.text
    assert refused.headers["ratelimit-policy"] == '"sign-up";q=2;w=3600'
    # A host may take any address of its /64.
    assert [(await sign_up(f"2001:db8::{n}")).status_code for n in range(3)] == [200, 200, 429]
    assert [(await sign_up(f"198.51.100.{n}")).status_code for n in range(3)] == [200, 429, 429]


async def test_forwarded_addresses_count_only_from_trusted_proxies(make_gateway: MakeGateway) -> None:
    async def sign_ups(trusted: str) -> list[int]:
        gateway = await make_gateway(signup_limit_per_ip="1/3600", trusted_proxies=trusted)
        await gateway.redis.flushdb()
        client = await gateway.client(address="10.0.0.7")
        form = {"name": "Ada", "email": "ada@example.com"}
        return [
            (await client.post("/subscriptions", data=form, headers={"x-forwarded-for": f"192.0.2.{n}"})).status_code
            for n in range(3)
        ]

    assert await sign_ups("") == [200, 429, 429]
    assert await sign_ups("10.0.0.0/8") == [200, 200, 200]


async def test_the_confirmation_page_shows_a_button_and_changes_nothing(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("POST", "/public/confirmations/lookup", body=LINK)
    response = await visitor.get("/subscriptions/confirm?subscription_token=abc-DEF_1")
    assert response.status_code == 200
    assert 'name="subscription_token" value="abc-DEF_1"' in response.text
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert [request.path for request in gateway.subscriptions.received] == ["/public/confirmations/lookup"]
    assert gateway.subscriptions.last.json == {"token": "abc-DEF_1"}
    assert gateway.subscriptions.last.query == ""


async def test_the_button_confirms(gateway: Gateway, visitor: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", "/public/confirmations", body={**LINK, "state": "confirmed"})
    response = await visitor.post("/subscriptions/confirm", data={"subscription_token": "abc"})
    assert response.status_code == 200
    assert "The Weekly" in response.text
    assert gateway.subscriptions.last.json == {
        "token": "abc",
        "visitor": {"ip": "127.0.0.1", "user_agent": visitor.headers["user-agent"]},
    }


@pytest.mark.parametrize(
    "query", ["", "?subscription_token=", "?other=abc", "?subscription_token=a&subscription_token=b"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_confirmation_without_a_token_is_a_400(
    gateway: Gateway, visitor: httpx.AsyncClient, query: str, method: str
) -> None:
    response = await visitor.request(method, f"/subscriptions/confirm{query}", headers=HTML)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/html")
    assert gateway.subscriptions.received == []


@pytest.mark.parametrize("token", ["unknown", "x" * 201, "a b", "ü", "../x"])
async def test_an_unknown_token_is_a_401(gateway: Gateway, visitor: httpx.AsyncClient, token: str) -> None:
    for path in ("/public/confirmations/lookup", "/public/confirmations"):
        gateway.subscriptions.refuse("POST", path, 401, "unknown-token")
    shown = await visitor.get(f"/subscriptions/confirm?subscription_token={quote(token, safe='%')}", headers=HTML)
    assert shown.status_code == 401
    assert "This link is not valid" in shown.text
    sent = await visitor.post("/subscriptions/confirm", data={"subscription_token": token.replace("%00", "-")})
    assert sent.status_code == 401
    assert sent.json()["type"] == "urn:broadsheet:problem:unknown-token"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_an_unsubscribe_link_changes_nothing(
    gateway: Gateway, visitor: httpx.AsyncClient, method: str
) -> None:
    gateway.subscriptions.answer("POST", "/public/unsubscribes/lookup", body=LINK)
    response = await visitor.request(method, "/unsubscribe/k1.abc-DEF")
    assert response.status_code == 200
    assert [request.path for request in gateway.subscriptions.received] == ["/public/unsubscribes/lookup"]
    if method == "GET":
        assert 'action="/unsubscribe/k1.abc-DEF"' in response.text
        assert "The Weekly" in response.text


async def test_who_has_left_is_told_so_when_the_link_is_opened_again(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("POST", "/public/unsubscribes/lookup", body=LINK | {"state": "unsubscribed"})
    left = await visitor.get("/unsubscribe/12~k1.abc")
    page = LexborHTMLParser(left.text)
    assert page.css("h1")[0].text() == "You are unsubscribed"
    assert page.css("form") == []
    assert "you stay subscribed" not in left.text
    assert [link.text() for link in page.css("main .small a")] == ["subscribe again", "see what else you can do"]
    choices_path = page.css("main .small a")[1].attributes["href"]
    assert choices_path == "/unsubscribe/12~k1.abc/choices"
    choices = LexborHTMLParser((await visitor.get(choices_path)).text)
    assert choices.css("#one-title")[0].text() == "You are unsubscribed"
    assert [form.attributes["action"] for form in choices.css("form")] == [
        "/unsubscribe/12~k1.abc/all",
        "/unsubscribe/12~k1.abc/preferences-link",
    ]


ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (ONE_CLICK, "application/x-www-form-urlencoded"),
        (MULTIPART, "multipart/form-data; boundary=b"),
        (b"", None),
        (b"\x00\xff not a form", "text/plain"),
    ],
    ids=["urlencoded", "multipart", "none", "other"],
)
async def test_one_click_unsubscribes_whatever_the_bodys_encoding(
    gateway: Gateway, visitor: httpx.AsyncClient, content: bytes, media_type: str | None
) -> None:
    gateway.subscriptions.answer("POST", "/public/unsubscribes", body={**LINK, "state": "unsubscribed"})
    headers = {"content-type": media_type} if media_type else {}
    response = await visitor.post("/unsubscribe/k1.abc", content=content, headers=headers)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert "location" not in response.headers
    assert gateway.subscriptions.last.json == {"token": "k1.abc"}


async def test_a_wrong_unsubscribe_token_gets_the_very_same_answer(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("POST", "/public/unsubscribes", body={**LINK, "state": "unsubscribed"})
    good = await visitor.post("/unsubscribe/k1.abc", content=ONE_CLICK, headers=URLENCODED)
    gateway.subscriptions.refuse("POST", "/public/unsubscribes", 404, "unknown-token")
    for token in ("k1.abc", "x" * 300, "a%20b"):
        bad = await visitor.post(f"/unsubscribe/{token}", content=ONE_CLICK, headers=URLENCODED)
        assert (bad.status_code, bad.text) == (good.status_code, good.text)
        shown = await visitor.get(f"/unsubscribe/{token}")
        assert shown.status_code == 200


async def test_an_unsubscribe_that_could_not_be_kept_is_a_5xx_so_that_it_is_sent_again(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    gateway.subscriptions.fail("POST", "/public/unsubscribes", httpx.ConnectError("refused"))
    response = await visitor.post("/unsubscribe/k1.abc", content=ONE_CLICK, headers=URLENCODED)
    assert response.status_code == 503


BAD_FORMS = {
    "twice": (b"name=a&name=b&email=c", URLENCODED, 400),
    "nul": (b"name=%00&email=c", URLENCODED, 400),
    "not-utf8-encoded": (b"name=%ff%fe&email=c", URLENCODED, 400),
    "not-utf8-raw": (b"name=\xff\xfe&email=c", URLENCODED, 400),
    "no-equals-sign": (b"no equals sign", URLENCODED, 400),
    "only-separators": (b"&&&", URLENCODED, 400),
    "too-many-fields": (b"&".join(b"f%d=x" % n for n in range(60)), URLENCODED, 400),
    "json": (b'{"name": "a"}', {"content-type": "application/json"}, 415),
    "multipart": (MULTIPART, {"content-type": "multipart/form-data; boundary=b"}, 415),
    "no-type": (b"name=a", {}, 415),
    "utf16": (b"name=a", {"content-type": "application/x-www-form-urlencoded; charset=utf-16"}, 415),
    "too-large": (b"name=" + b"a" * FORM_BODY_MAX_BYTES, URLENCODED, 413),
}


@pytest.mark.parametrize(("content", "headers", "status"), BAD_FORMS.values(), ids=BAD_FORMS)
@pytest.mark.parametrize("path", ["/subscriptions", "/login"])
async def test_a_form_that_no_browser_sends_is_a_clear_4xx(
    gateway: Gateway, visitor: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    response = await visitor.post(path, content=content, headers=headers)
    assert response.status_code == status
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert gateway.subscriptions.received == []


async def test_a_body_that_grows_past_the_bound_without_announcing_it_is_refused(visitor: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"a" * (FORM_BODY_MAX_BYTES // 5)

    response = await visitor.post("/subscriptions", content=pieces(), headers=URLENCODED)
    assert response.status_code == 413


async def test_a_login_form_without_a_field_is_a_400(visitor: httpx.AsyncClient) -> None:
    response = await visitor.post("/login", data={"username": "author"}, headers=HTML)
    assert response.status_code == 400
    assert "password" in response.text


async def test_browsers_get_error_pages_and_programs_problems(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/nowhere", headers=HTML)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["x-request-id"] in page.text
    problem = await visitor.get("/nowhere")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:broadsheet:problem:not-found"
    wrong_method = await visitor.delete("/login", headers=HTML)
    assert wrong_method.status_code == 405
    assert set(wrong_method.headers["allow"].split(", ")) >= {"GET", "POST"}
    assert (await visitor.get("/api/v1/nowhere", headers=HTML)).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/api/v1/issues", "/health/live", "/static/nothing.css"])
async def test_every_answer_carries_the_security_headers(visitor: httpx.AsyncClient, path: str) -> None:
    headers = (await visitor.get(path)).headers
    assert headers["content-security-policy"] == (
        "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


async def test_https_is_required_of_browsers_that_came_by_https(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url="https://news.example.com")
    response = await (await gateway.client()).get("/login")
    assert response.headers["strict-transport-security"] == "max-age=31536000"


async def test_https_is_required_for_the_hosts_below_too_where_that_is_set(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url="https://news.example.com", hsts_include_subdomains=True)
    response = await (await gateway.client()).get("/nowhere")
    assert response.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_static_files_may_be_kept_for_ever(visitor: httpx.AsyncClient, pages: Pages) -> None:
    for file in pages.static_files:
        response = await visitor.get(f"/static/{file.name}")
        assert response.content == file.content
        assert response.headers["content-type"] == file.media_type
        assert "immutable" in response.headers["cache-control"]
        again = await visitor.get(f"/static/{file.name}", headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/site.css", "/static/..%2f..%2fapp.py", "/static/../app.py"):
        assert (await visitor.get(path)).status_code == 404


async def test_public_pages_stand_while_redis_is_away(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.2)
    gateway.subscriptions.answer("POST", "/public/confirmations/lookup", body=LINK)
    gateway.subscriptions.answer("POST", "/public/confirmations", body=LINK)
    await gateway.add_user()
    visitor = await gateway.client()
    assert (await visitor.get("/")).status_code == 200
    form = {"name": "Ada", "email": "ada@example.com"}
    assert (await visitor.post("/subscriptions", data=form)).status_code == 200
    assert (await visitor.get("/subscriptions/confirm?subscription_token=abc")).status_code == 200
    confirmed = await visitor.post("/subscriptions/confirm", data={"subscription_token": "abc"})
    assert confirmed.status_code == 200
    left = await visitor.post("/unsubscribe/k1.abc", content=ONE_CLICK, headers=URLENCODED)
    assert left.status_code == 200
    login = await visitor.post(
        "/login", data={"username": "author", "password": "a long enough passphrase, 1"}, headers=HTML
    )
    assert login.status_code == 503
    assert login.headers["content-type"].startswith("text/html")
    assert login.headers["retry-after"]
    api = await gateway.api_client("read")
    assert (await api.get("/api/v1/issues")).status_code == 200
    visitor.cookies.set("broadsheet_session", "A" * 43)
    assert (await visitor.get("/admin/dashboard")).status_code == 503


async def test_metrics_are_closed_without_a_token(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    for address in ("192.0.2.1", "127.0.0.1"):
        client = await gateway.client(address=address)
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/metrics", headers={"authorization": "Bearer "})).status_code == 404
    gateway = await make_gateway(metrics_token=Secret("the-token"))
    client = await gateway.client(address="192.0.2.1")
    assert (await client.get("/metrics")).status_code == 404
    assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 404
    metrics = await client.get("/metrics", headers={"authorization": "Bearer the-token"})
    assert metrics.status_code == 200
    assert "http_requests_total" in metrics.text


async def test_readiness_names_what_is_degraded_and_stays_up_for_what_works(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    client = await gateway.client()
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok"}
    assert {loop["status"] for loop in ready.json()["loops"].values()} == {"ok"}
    gateway = await make_gateway(redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.2)
    response = await (await gateway.client()).get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"] == {"database": "ok", "redis": "ConnectionError"}
    assert response.json()["degraded"] == ["redis"]


async def test_leaving_everything_stands_out_no_more_than_leaving_one(
    gateway: Gateway, visitor: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("POST", "/public/unsubscribes/lookup", body=LINK)
    answer: dict[str, object] = {
        "email": "ada@example.com",
        "name": "Ada",
        "newsletters": [{"id": 1, "name": "The Weekly", "state": "confirmed"}],
        "pending_email": None,
    }
    gateway.subscriptions.answer("POST", "/public/preferences/lookup", body=answer)
    for path, action in (("/unsubscribe/k1.abc/choices", "all"), ("/preferences/k1.abc", "leave")):
        page = LexborHTMLParser((await visitor.get(path, headers=HTML)).text)
        buttons = page.css(f'form[action$="/{action}"] button')
        assert buttons, path
        assert {one.attributes["class"] for one in buttons} == {"button button-quiet"}, path
