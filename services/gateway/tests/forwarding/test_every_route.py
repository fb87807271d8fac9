"""What holds at every route of the API's table."""

from typing import Any, cast

import httpx
import pytest

from broadsheet_common.http.service_app import allow_header
from broadsheet_gateway.forwarding.limit_class import EXPENSIVE, limit_class
from broadsheet_gateway.forwarding.route_table import ROUTES
from broadsheet_gateway.limits.rate_limit import RateLimit

from ..conftest import Gateway, MakeGateway

UNKNOWN = {"{version}": "2", "{name}": "city"}


def _path(template: str) -> str:
    path = template.replace("{id}", "1")
    for parameter, value in UNKNOWN.items():
        path = path.replace(parameter, value)
    return path


@pytest.fixture(name="gateway")
async def a_gateway(make_gateway: MakeGateway) -> Gateway:
    return await make_gateway()


@pytest.fixture(name="api")
async def a_client(gateway: Gateway) -> httpx.AsyncClient:
    key = await gateway.add_api_key("read", "write", "admin")
    return await gateway.client(authorization=f"Bearer {key}")


async def test_options_and_allow_say_which_methods_a_path_takes_and_no_other_is_taken(api: httpx.AsyncClient) -> None:
    for template, _, methods in ROUTES:
        allowed = allow_header(list(methods))
        answer = await api.options(_path(template))
        assert (answer.status_code, answer.headers["allow"]) == (204, allowed), template
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - set(allowed.split(", ")):
            refused = await api.request(method, _path(template))
            assert (refused.status_code, refused.headers["allow"]) == (405, allowed), (method, template)


async def test_head_is_answered_wherever_get_is_as_get_without_a_body(gateway: Gateway, api: httpx.AsyncClient) -> None:
    for template, service, methods in ROUTES:
        if "GET" in methods and service != "gateway":
            recording = getattr(gateway, service)
            recording.answer("HEAD", _path(template), body={"a": 1})
            answer = await api.head(_path(template))
            assert (answer.status_code, answer.content) == (200, b""), template
            assert recording.last.method == "HEAD"


async def test_a_slash_at_the_end_leads_to_the_path_without_it(gateway: Gateway, api: httpx.AsyncClient) -> None:
    for template, _, methods in ROUTES:
        for method in methods:
            answer = await api.request(method, f"{_path(template)}/", params={"a": "ü"})
            assert answer.status_code == 308, (method, template)
            assert answer.headers["location"] == f"{_path(template)}?a=%C3%BC"
    assert gateway.subscriptions.received == []


@pytest.mark.parametrize("path", ["/login", "/docs", "/openapi.json", "/health/live", "/admin/dashboard"])
async def test_pages_keep_the_same_rule(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"{path}/")
    assert (answer.status_code, answer.headers["location"]) == (308, path)


@pytest.mark.parametrize(
    "path", ["/nothing/", "/api/v1/nothing/", "//example.com/", "/login//example.com/", "/%5Cexample.com/", "//"]
)
async def test_no_slash_leads_to_what_is_not_there_or_to_another_site(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(httpx.URL("http://127.0.0.1:8081").copy_with(raw_path=path.encode()))
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_every_answer_says_how_much_is_left(gateway: Gateway, api: httpx.AsyncClient) -> None:
    """Refused, unknown, not understood, from a service that is away: whatever the answer is."""
    gateway.publishing.fail("GET", "/api/v1/issues", httpx.ConnectError("refused"))
    gateway.subscriptions.refuse("GET", "/api/v1/segments/1", 404, "not-found")
    visitor = await gateway.client()
    answers = [
        await api.get("/api/v1/subscribers"),
        await api.get("/api/v1/issues"),
        await api.get("/api/v1/segments/1"),
        await api.get("/api/v1/nothing"),
        await api.put("/api/v1/subscribers"),
        await api.options("/api/v1/subscribers"),
        await visitor.get("/api/v1/subscribers"),
        await visitor.get("/api/v1/subscribers", headers={"authorization": "Bearer nonsense"}),
        await visitor.get("/api/v1/nothing"),
    ]
    assert [one.status_code for one in answers] == [200, 503, 404, 404, 405, 204, 401, 401, 404]
    for answer in answers:
        assert answer.headers.get_list("ratelimit") != []
        assert len(answer.headers.get_list("ratelimit-policy")) == 1
    assert answers[0].headers["ratelimit-policy"].startswith('"api";q=')
    assert '"api-read";q=' in answers[0].headers["ratelimit-policy"]
    assert answers[6].headers["ratelimit-policy"].startswith('"api-stranger";q=')


async def test_each_kind_of_request_has_a_limit_of_its_own(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(
        api_limit_reads_per_caller="3/60", api_limit_writes_per_caller="2/60", api_limit_expensive_per_caller="1/60"
    )
    first, second = [
        await gateway.client(authorization=f"Bearer {await gateway.add_api_key(name=name)}") for name in ("one", "two")
    ]
    wanted = (("GET", "/api/v1/segments", 3), ("POST", "/api/v1/segments", 2), ("POST", "/api/v1/segments/count", 1))
    for client in (first, second):
        for method, path, count in wanted:
            statuses = [(await client.request(method, path, json=None)).status_code for _ in range(count + 1)]
            assert statuses == [200] * count + [429], (method, path)


async def test_requests_without_a_caller_are_limited_by_their_source(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(api_limit_strangers_per_ip="2/60")
    client = await gateway.client(address="192.0.2.1")
    assert [(await client.get("/api/v1/issues")).status_code for _ in range(3)] == [401, 401, 429]
    other = await gateway.client(address="192.0.2.2")
    assert (await other.get("/api/v1/issues")).status_code == 401


def test_what_is_expensive_is_in_the_table() -> None:
    known = {(method, template) for template, _, methods in ROUTES for method in methods}
    assert known >= EXPENSIVE
    assert limit_class("HEAD", "/api/v1/exports/subscribers") == "api-expensive"
    assert limit_class("HEAD", "/api/v1/issues") == "api-read"
    assert limit_class("DELETE", "/api/v1/issues/{id}") == "api-write"
    assert RateLimit.parse("300/60").count == 300


async def _asked(gateway: Gateway, query: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """The status, for a query of bytes that no HTTP client would send."""
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/subscribers", "raw_path": b"/api/v1/subscribers", "root_path": "", "query_string": query,
        "headers": headers, "server": ("127.0.0.1", 8081), "client": ("127.0.0.1", 50_000), "extensions": {},
    }  # fmt: skip
    await cast("Any", gateway.app)(scope, receive, send)
    return statuses[0]


async def test_a_query_of_raw_bytes_is_forwarded_as_it_is_meant_or_refused(
    gateway: Gateway, api: httpx.AsyncClient
) -> None:
    headers = [(b"authorization", api.headers["authorization"].encode())]
    assert (await _asked(gateway, "tag=é".encode(), headers)) == 200
    assert gateway.subscriptions.last.query == "tag=%C3%A9"
    assert (await _asked(gateway, b"tag=\xff", headers)) == 400


@pytest.mark.parametrize(
    "name",
    [
        "accept", "accept-encoding", "accept-language", "authorization", "idempotency-key", "if-match",
        "if-none-match", "last-event-id", "prefer", "content-type",
    ],
)  # fmt: skip
async def test_a_header_that_we_read_may_not_hold_other_bytes_than_ascii(
    gateway: Gateway, api: httpx.AsyncClient, name: str
) -> None:
    answer = await api.get("/api/v1/subscribers", headers=[(name.encode(), "é".encode())])
    assert answer.status_code == 400
    assert gateway.subscriptions.received == []


@pytest.mark.parametrize("name", ["cookie", "user-agent", "referer", "x-request-id", "traceparent", "x-of-mine"])
async def test_other_bytes_in_other_headers_do_no_harm(gateway: Gateway, api: httpx.AsyncClient, name: str) -> None:
    answer = await api.get("/api/v1/subscribers", headers=[(name.encode(), "a=é".encode())])
    assert answer.status_code == 200
