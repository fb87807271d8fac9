"""`/api/v1/…`: who may pass, what goes on to the services, what comes back."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from broadsheet_common.http.application import ServerMetrics
from broadsheet_gateway.forwarding.route_table import ROUTES, find_route, owner_of_template
from broadsheet_gateway.settings import API_BODY_MAX_BYTES
from harness.http.carried import CarriedByHttpx
from harness.http.service_documents import methods_by_path
from harness.keys import scopes

from ..conftest import PUBLIC_URL, Gateway, MakeGateway, RecordingService, csrf_token_of

JSON = {"content-type": "application/json"}


def owner(gateway: Gateway, path: str) -> RecordingService:
    route = find_route(path)
    assert route is not None
    found: RecordingService = getattr(gateway, route.owner)
    return found


@pytest.mark.parametrize(("template", "service", "methods"), [route for route in ROUTES if route[1] != "gateway"])
async def test_each_path_goes_to_the_service_that_owns_it(
    gateway: Gateway, template: str, service: str, methods: dict[str, str]
) -> None:
    api = await gateway.api_client("read", "write", "admin")
    path = re.sub(r"\{[a-z_]+\}", "7", template)
    for method in methods:
        owner(gateway, path).answer(method, path, body={"from": service})
        assert (await api.request(method, path)).json() == {"from": service}


def test_the_table_has_the_paths_and_methods_that_the_services_have() -> None:
    def plain(path: str) -> str:
        return re.sub(r"\{[^}]+\}", "{}", path)

    offered: dict[tuple[str, str], set[str]] = {}
    for (service, path), methods in methods_by_path().items():
        if path.startswith("/api/v1/"):
            offered.setdefault((service, plain(path)), set()).update(methods)
    assert {(service, plain(template)): set(methods) for template, service, methods in ROUTES} == offered


@pytest.mark.parametrize(("template", "service", "methods"), ROUTES)
async def test_options_and_405_name_the_methods_that_are_taken(
    gateway: Gateway, template: str, service: str, methods: dict[str, str]
) -> None:
    """The same for everybody, and nothing is asked of the service for it."""
    path = re.sub(r"\{[a-z_]+\}", "7", template)
    expected = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    visitor = await gateway.client()
    options = await visitor.options(path)
    assert options.status_code == 204
    for answer in (options, await visitor.request("BREW", path)):
        assert {part.strip() for part in answer.headers["allow"].split(",")} == expected
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - expected:
        assert (await visitor.request(method, path)).status_code == 405
    assert service == "gateway" or getattr(gateway, service).received == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1//issues", "/api//v1/issues",
        "/api/v1/issues/7/unknown", "/api/v1/issues/7/deliveries/x/y", "/api/v1/public/subscriptions",
        "/public/subscriptions", "/api/v1/issues/..%2fsubscribers", "/api/v1/issues/%2e%2e/subscribers",
        "/api/v1/issues/7%2fpublish", "/api/v1/issues/7%5cpublish", "/api/v1/issues/7%00", "/api/v1/issues/7;x=1",
        "/api/v1/%69ssues", "/api/v1/issues/" + "7" * 65, "/api/v1/Issues", "/API/V1/issues", "/api/v1issues",
        "/api/v2/issues",
    ],
)  # fmt: skip
async def test_a_path_that_is_not_in_the_table_reaches_no_service(gateway: Gateway, path: str) -> None:
    api = await gateway.api_client("read", "write", "admin")
    request = httpx.Request("GET", PUBLIC_URL, headers=api.headers)
    # httpx would tidy the path up: it is put where the server would put it.
    request.url = request.url.copy_with(raw_path=path.encode())
    response = await api.send(request)
    assert response.status_code == 404
    assert response.json()["type"] == "urn:broadsheet:problem:not-found"
    received = gateway.subscriptions.received + gateway.publishing.received + gateway.delivery.received
    assert received == []


@pytest.mark.parametrize(
    "path", ["/api/v1/senders/../issues", "/api/v1/./issues", "/api/v1/issues/..", "/api/v1/issues/7\n"]
)
def test_dot_segments_are_no_path_of_ours(path: str) -> None:
    """On the table itself, since the test client would resolve them."""
    assert find_route(path) is None


def test_templates_belong_to_a_service_whatever_their_parameters_are_called() -> None:
    assert owner_of_template("/api/v1/issues/{issue_id}") == "publishing"
    assert owner_of_template("/api/v1/issues/{issue_id}/deliveries") == "delivery"
    assert owner_of_template("/public/subscriptions") is None
    assert owner_of_template("/openapi.json") is None


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer"}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic YTpi"},
        {"authorization": f"Bearer bs_0123abcd_{'a' * 43}"}, {"cookie": f"broadsheet_session={'a' * 43}"},
    ],
)  # fmt: skip
async def test_without_credentials_the_answer_is_a_401_with_a_challenge(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    response = await (await gateway.client()).get("/api/v1/issues", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer ")
    assert response.json()["type"] == "urn:broadsheet:problem:unauthenticated"
    assert gateway.publishing.received == []


async def test_a_wrong_key_is_not_made_good_by_a_session(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    gateway.publishing.received.clear()
    response = await client.get("/api/v1/issues", headers={"authorization": "Bearer nonsense"})
    assert response.status_code == 401
    assert gateway.publishing.received == []


async def test_the_service_learns_who_asks_and_nothing_that_the_client_made_up(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write")
    await api.post(
        "/api/v1/issues?a=1&b=x%20y",
        content=b'{"title": "x"}',
        headers={
            **JSON,
            "idempotency-key": "k1",
            "if-match": '"1"',
            "x-broadsheet-identity": "forged",
            "x-forwarded-for": "203.0.113.9",
            "connection": "close, x-secret",
            "x-secret": "1",
            "te": "trailers",
            "cookie": "other=1",
            "host": "127.0.0.1:8081",
        },
    )
    request = gateway.publishing.last
    assert (request.method, request.path, request.query) == ("POST", "/api/v1/issues", "a=1&b=x%20y")
    assert request.body == b'{"title": "x"}'
    identity = gateway.publishing.last_identity()
    assert (identity.subject, identity.scopes) == ("key:1", scopes("read", "write"))
    assert request.headers["idempotency-key"] == "k1"
    assert request.headers["if-match"] == '"1"'
    assert set(request.headers) == {
        "host", "content-type", "content-length", "accept", "accept-encoding", "idempotency-key", "if-match",
        "traceparent", "x-request-id", "x-broadsheet-identity",
    }  # fmt: skip


async def test_the_trace_goes_on_to_the_service(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "x-request-id": "my-request"}
    response = await api.get("/api/v1/issues", headers=headers)
    assert response.headers["x-request-id"] == "my-request"
    sent = gateway.publishing.last.headers
    assert sent["x-request-id"] == "my-request"
    assert sent["traceparent"].split("-")[1] == trace_id
    assert sent["traceparent"].split("-")[2] != "b7ad6b7169203331"


async def test_of_the_answer_status_body_and_chosen_headers_come_back(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.answer(
        "GET", "/api/v1/issues", status=418, body={"x": 1}, etag='"7"', set_cookie="a=b", x_internal="1", server="svc",
        cache_control="private", connection="close", preference_applied="return=minimal",
    )  # fmt: skip
    response = await api.get("/api/v1/issues")
    assert (response.status_code, response.json()) == (418, {"x": 1})
    assert response.headers["etag"] == '"7"'
    assert response.headers["cache-control"] == "private"
    assert response.headers["preference-applied"] == "return=minimal"
    for name in ("set-cookie", "x-internal", "server", "connection"):
        assert name not in response.headers


async def test_what_a_client_prefers_is_passed_on(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    await api.get("/api/v1/issues", headers={"Prefer": "return=minimal"})
    assert gateway.publishing.last.headers["prefer"] == "return=minimal"


async def test_a_services_problem_comes_back_as_it_is(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.refuse("POST", "/api/v1/issues", 409, "conflict", detail="twice")
    response = await api.post("/api/v1/issues", json={})
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "twice"


async def test_a_made_up_method_is_no_metric_series_of_its_own(gateway: Gateway) -> None:
    visitor = await gateway.client()
    for number in range(20):
        assert (await visitor.request(f"BREW{number}", "/api/v1/issues")).status_code == 405
    metrics: ServerMetrics = gateway.app.state.server_metrics
    labels = {sample.labels.get("method") for metric in metrics.requests.collect() for sample in metric.samples}
    assert labels <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
    assert "other" in labels


async def test_head_is_answered_as_get_without_a_body(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.answer("HEAD", "/api/v1/newsletters/1", body=b"", etag='"7"')
    answer = await api.head("/api/v1/newsletters/1")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", '"7"')
    assert gateway.publishing.last.method == "HEAD"


async def test_a_not_modified_answer_comes_back_as_it_is(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.answer("GET", "/api/v1/newsletters/1", status=304, body=b"", etag='"7"')
    answer = await api.get("/api/v1/newsletters/1", headers={"if-none-match": '"7"'})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"7"')
    assert gateway.publishing.last.headers["if-none-match"] == '"7"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("idempotency-key", "é")], 400),
        ([("if-match", '"é"')], 400),
        ([("idempotency-key", "a"), ("idempotency-key", "b")], 400),
        ([("content-encoding", "br")], 415),
    ],
)
async def test_headers_that_cannot_be_passed_on_are_refused(
    gateway: Gateway, headers: list[tuple[str, str]], status: int
) -> None:
    api = await gateway.api_client("write")
    sent = [("content-type", "application/json"), *headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in sent]
    answer = await api.post("/api/v1/issues", content=b"{}", headers=encoded)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert gateway.publishing.received == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (httpx.ConnectError("refused"), 503),
        (httpx.ConnectTimeout("no route"), 503),
        (httpx.ReadError("reset"), 503),
        (httpx.RemoteProtocolError("no HTTP"), 503),
        (httpx.ReadTimeout("slow"), 504),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_a_service_that_does_not_answer_is_a_problem_of_ours(
    gateway: Gateway, error: Exception, status: int
) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.fail("POST", "/api/v1/issues", error)
    response = await api.post("/api/v1/issues", json={})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"]
    assert len(gateway.publishing.received) == 1


async def test_a_service_that_hangs_is_a_504_in_time(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(upstream_timeout_s=0.1)

    async def hang() -> None:
        await asyncio.Event().wait()

    gateway.publishing.answers["GET", "/api/v1/issues"] = hang  # type: ignore[assignment]
    response = await (await gateway.api_client("read", "write", "admin")).get("/api/v1/issues")
    assert response.status_code == 504
    assert response.json()["type"] == "urn:broadsheet:problem:upstream-timeout"


class RefusesFirst(httpx.AsyncBaseTransport):
    """Refuses the first connection, then answers."""

    def __init__(self) -> None:
        self.attempts = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.attempts += 1
        if self.attempts == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"), request=request)


@pytest.mark.parametrize(
    ("method", "path", "attempts", "status"),
    [
        ("GET", "/api/v1/issues", 2, 200),
        ("POST", "/api/v1/issues", 1, 503),
        ("DELETE", "/api/v1/issues/7/schedule", 1, 503),
    ],
)
async def test_only_a_get_that_never_arrived_is_tried_once_more(
    make_gateway: MakeGateway, method: str, path: str, attempts: int, status: int
) -> None:
    transport = RefusesFirst()
    gateway = await make_gateway(transports={"publishing": CarriedByHttpx(transport)})
    response = await (await gateway.api_client("read", "write", "admin")).request(method, path)
    assert (response.status_code, transport.attempts) == (status, attempts)


async def test_a_body_within_the_bound_passes_whole_announced_or_not(gateway: Gateway) -> None:
    api = await gateway.api_client("write")
    body = bytes(range(256)) * 4096

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    await api.post("/api/v1/issues", content=body, headers=JSON)
    assert gateway.publishing.last.body == body
    await api.post("/api/v1/issues", content=pieces(), headers=JSON)
    assert gateway.publishing.last.body == body


@pytest.mark.parametrize(("http_version", "received"), [("2", b'{"a": 1}'), ("1.1", b"")])
async def test_a_body_without_a_length_is_looked_for_where_http_allows_it(
    gateway: Gateway, http_version: str, received: bytes
) -> None:
    """In HTTP/2 neither a length nor an encoding need announce a body."""
    key = await gateway.add_api_key("write")

    async def as_another_version(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        changed: Any = {**scope, "http_version": http_version, "headers": headers}
        await gateway.app(changed, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(as_another_version), base_url=PUBLIC_URL) as client:
        headers = {"authorization": f"Bearer {key}", **JSON}
        assert (await client.post("/api/v1/issues", content=b'{"a": 1}', headers=headers)).status_code == 200
    assert gateway.publishing.last.body == received


async def test_a_body_over_the_bound_is_refused_before_it_is_read_where_it_says_so(gateway: Gateway) -> None:
    api = await gateway.api_client("write")
    headers = {**JSON, "content-length": str(API_BODY_MAX_BYTES + 1)}
    response = await api.post("/api/v1/issues", content=b"{}", headers=headers)
    assert response.status_code == 413
    assert response.json()["type"] == "urn:broadsheet:problem:request-entity-too-large"
    assert gateway.publishing.received == []


async def test_a_body_that_grows_over_the_bound_is_refused_and_reaches_no_handler(gateway: Gateway) -> None:
    api = await gateway.api_client("write")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"a" * 1024 * 1024

    response = await api.post("/api/v1/issues", content=pieces(), headers=JSON)
    assert response.status_code == 413
    assert gateway.publishing.received == []


async def test_a_body_that_does_not_arrive_is_a_408_in_time(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(body_timeout_s=0.1)
    api = await gateway.api_client("write")

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    response = await api.post("/api/v1/issues", content=stalls(), headers=JSON)
    assert response.status_code == 408


def _file(megabytes: int) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield b"a" * 1024 * 1024

    return pieces()


async def test_a_file_for_an_import_may_be_larger_than_any_other_body(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(import_body_max_bytes=20 * 1024 * 1024)
    api = await gateway.api_client("write")
    gateway.subscriptions.answer("POST", "/api/v1/imports", status=202, body={})
    headers = {"content-type": "text/csv"}
    assert (await api.post("/api/v1/imports", content=_file(15), headers=headers)).status_code == 202
    assert len(gateway.subscriptions.last.body) == 15 * 1024 * 1024
    gateway.subscriptions.received.clear()
    for path, megabytes in (("/api/v1/imports", 21), ("/api/v1/imports/7/start", 11), ("/api/v1/subscribers", 11)):
        assert (await api.post(path, content=_file(megabytes), headers=headers)).status_code == 413
    announced = {**headers, "content-length": str(20 * 1024 * 1024 + 1)}
    assert (await api.post("/api/v1/imports", content=b"a", headers=announced)).status_code == 413
    assert gateway.subscriptions.received == []


async def test_a_file_that_stalls_is_a_408_and_one_that_only_takes_long_is_not(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(body_timeout_s=1.0)
    api = await gateway.api_client("write")
    gateway.subscriptions.answer("POST", "/api/v1/imports", status=202, body={})

    async def takes_long() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"a"
            await asyncio.sleep(0.2)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    headers = {"content-type": "text/csv"}
    assert (await api.post("/api/v1/imports", content=takes_long(), headers=headers)).status_code == 202
    assert (await api.post("/api/v1/imports", content=stalls(), headers=headers)).status_code == 408


@pytest.mark.parametrize("length", ["-1", "1e3", "ten", "٣"])
async def test_a_malformed_length_is_a_400(gateway: Gateway, length: str) -> None:
    api = await gateway.api_client("write")
    headers = [("content-type", "application/json"), ("content-length", length.encode())]
    response = await api.post("/api/v1/issues", content=b"{}", headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert gateway.publishing.received == []


async def test_a_get_with_a_body_is_a_400(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    response = await api.request("GET", "/api/v1/issues", content=b"{}")
    assert response.status_code == 400


async def test_callers_are_limited_each_by_their_own_quota(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(api_limit_per_caller="2/3600")
    first = await gateway.client(authorization=f"Bearer {await gateway.add_api_key('read', name='first')}")
    second = await gateway.client(authorization=f"Bearer {await gateway.add_api_key('read', name='second')}")
    responses = [await first.get("/api/v1/issues") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["ratelimit-policy"] == '"api";q=2;w=3600, "api-read";q=1000000;w=60'
    assert responses[0].headers["ratelimit"].startswith('"api";r=1;t=1800, "api-read";r=')
    assert int(responses[2].headers["retry-after"]) > 0
    assert responses[2].json()["type"] == "urn:broadsheet:problem:too-many-requests"
    assert len(gateway.publishing.received) == 2
    assert (await second.get("/api/v1/issues")).status_code == 200


async def test_a_session_opens_the_api_to_our_own_pages(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    assert (await client.get("/api/v1/issues", headers={"sec-fetch-site": "cross-site"})).status_code == 200
    assert gateway.publishing.last_identity().subject == "user:1"
    token = await csrf_token_of(client)

    async def post(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await client.post("/api/v1/issues", json={}, headers=named)).status_code

    assert await post(sec_fetch_site="same-origin", x_csrf_token=token) == 200
    assert await post(origin=PUBLIC_URL, x_csrf_token=token) == 200
    assert await post(sec_fetch_site="same-origin") == 403
    assert await post(sec_fetch_site="same-origin", x_csrf_token="0" * 64) == 403
    assert await post(sec_fetch_site="cross-site", x_csrf_token=token) == 403
    assert await post(origin="https://evil.example", x_csrf_token=token) == 403
    assert await post() == 200


async def test_a_key_needs_no_token_from_anywhere(gateway: Gateway) -> None:
    api = await gateway.api_client("write")
    response = await api.post("/api/v1/issues", json={}, headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 200


async def test_an_upstreams_cookie_is_not_kept_for_the_next_caller(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "write", "admin")
    gateway.publishing.answer("GET", "/api/v1/issues", set_cookie="session=of-somebody; Path=/")
    for _ in range(2):
        await api.get("/api/v1/issues")
    assert "cookie" not in gateway.publishing.last.headers
