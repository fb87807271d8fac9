"""Who may call the API: keys, scopes, sessions; and what it says about things that are not there."""

import re
from typing import Any

import httpx
import pytest

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from harness.keys import scopes
from harness.system import System, in_this_process, make_api_key

READS = [
    "/api/v1/subscribers",
    "/api/v1/subscribers/1",
    "/api/v1/subscribers/1/export",
    "/api/v1/attributes",
    "/api/v1/attributes/city",
    "/api/v1/segments",
    "/api/v1/segments/1",
    "/api/v1/subscribers/1/consent",
    "/api/v1/consents",
    "/api/v1/newsletters",
    "/api/v1/newsletters/1",
    "/api/v1/issues",
    "/api/v1/issues/1",
    "/api/v1/issues/1/deliveries",
    "/api/v1/issues/1/decisions",
    "/api/v1/deliveries?subscriber_id=1",
    "/api/v1/deliveries/1-1",
    "/api/v1/senders",
    "/api/v1/webhook-endpoints/1/deliveries",
    "/api/v1/webhook-deliveries/1",
]
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("/api/v1/subscribers", {"email": "reader@example.com", "name": "A"}),
    ("/api/v1/subscribers/batch", {"items": [{"create": {"email": "reader@example.com", "name": "A"}}]}),
    ("/api/v1/subscribers/1/unsubscribe", {}),
    ("/api/v1/subscribers/1/erase", {}),
    ("/api/v1/attributes", {"name": "city", "type": "text"}),
    ("/api/v1/segments", {"name": "A", "filter": {"all": []}}),
    ("/api/v1/issues", {"title": "A", "format": "html", "content": "B", "text_content": "C"}),
    ("/api/v1/issues/1/publish", {}),
    ("/api/v1/issues/1/pause", {}),
    ("/api/v1/issues/1/resume", {}),
    ("/api/v1/issues/1/cancel", {}),
    ("/api/v1/issues/1/retry-failed", {}),
    ("/api/v1/issues/1/decide-uncertain", {"choice": "mark_sent"}),
    ("/api/v1/deliveries/1-1/decide", {"choice": "mark_sent"}),
    ("/api/v1/senders/pause", {}),
    ("/api/v1/senders/resume", {}),
    ("/api/v1/webhook-endpoints", {"url": "https://hooks.example.com", "events": ["subscriber.confirmed"]}),
    ("/api/v1/webhook-endpoints/1/rotate-secret", {}),
    ("/api/v1/webhook-endpoints/1/test", {}),
    ("/api/v1/webhook-deliveries/1/retry", {}),
]
ISSUE = {"title": "A", "format": "html", "content": "B", "text_content": "C"}


async def _key(system: System, *names: str) -> str:
    engine = create_engine(
        PostgresUrl.parse(system.database.url_for("gateway")), application_name="test", pool_size=1, timeout_s=10
    )
    try:
        return await make_api_key(engine, "another", scopes(*names))
    finally:
        await engine.dispose()


def _assert_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:broadsheet:problem:{slug}")
    assert problem["title"]


@pytest.mark.parametrize("path", READS)
async def test_reading_without_a_key_is_401(system: System, path: str) -> None:
    answer = await system.visitor.get(path)
    _assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_writing_without_a_key_is_401_and_does_nothing(system: System, path: str, body: dict[str, Any]) -> None:
    _assert_problem(await system.visitor.post(path, json=body), 401, "unauthenticated")
    assert system.seed.count("subscriptions.subscriber") == 0
    assert system.seed.count("publishing.issue") == 0


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer nonsense", "Basic YTpi", f"Bearer bs_00000000_{'A' * 43}", "Bearer bs_\N{LATIN SMALL LETTER E}"],
)
async def test_a_key_that_nobody_made_is_401(system: System, authorization: str) -> None:
    async with system.client(authorization=authorization) as client:
        _assert_problem(await client.get("/api/v1/issues"), 401, "unauthenticated")


async def test_a_true_prefix_with_another_secret_is_401(system: System) -> None:
    forged = system.api_key[:-1] + ("A" if system.api_key[-1] != "A" else "B")
    async with system.client(authorization=f"Bearer {forged}") as client:
        _assert_problem(await client.get("/api/v1/issues"), 401, "unauthenticated")


async def test_a_revoked_and_an_expired_key_are_401(system: System) -> None:
    for change in ("revoked_at = now()", "expires_at = now() - interval '1 s'"):
        key = await _key(system, "read")
        system.seed.execute(f"UPDATE gateway.api_key SET {change} WHERE name = 'another'")
        async with system.client(authorization=f"Bearer {key}") as client:
            _assert_problem(await client.get("/api/v1/issues"), 401, "unauthenticated")
        system.seed.execute("DELETE FROM gateway.api_key WHERE name = 'another'")


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_writing_with_a_read_only_key_is_403_and_does_nothing(
    system: System, path: str, body: dict[str, Any]
) -> None:
    async with system.client(authorization=f"Bearer {await _key(system, 'read')}") as client:
        _assert_problem(await client.post(path, json=body), 403, "forbidden")
        assert (await client.get("/api/v1/issues")).status_code == 200
    assert system.seed.count("subscriptions.subscriber") == 0
    assert system.seed.count("publishing.issue") == 0
    assert system.seed.execute("SELECT paused_at FROM delivery.sending_state") == [(None,)]


async def test_pausing_all_sending_needs_the_scope_admin(system: System) -> None:
    async with system.client(authorization=f"Bearer {await _key(system, 'read', 'write')}") as client:
        _assert_problem(await client.post("/api/v1/senders/pause", json={}), 403, "forbidden")
        _assert_problem(await client.post("/api/v1/senders/resume"), 403, "forbidden")


async def test_a_session_may_call_the_api_and_a_browser_needs_its_token_to_write(system: System) -> None:
    await system.log_in()
    assert (await system.visitor.get("/api/v1/issues")).status_code == 200
    browser = {"sec-fetch-site": "same-origin"}
    _assert_problem(await system.visitor.post("/api/v1/issues", json=ISSUE, headers=browser), 403, "csrf-token")
    page = (await system.visitor.get("/admin/newsletters")).text
    [token] = set(re.findall(r'name="csrf_token" value="([0-9a-f]+)"', page))
    taken = await system.visitor.post("/api/v1/issues", json=ISSUE, headers={**browser, "x-csrf-token": token})
    assert taken.status_code == 201


async def test_nobody_from_outside_can_bring_an_identity_along(system: System) -> None:
    async with system.client(x_broadsheet_identity="anything") as client:
        _assert_problem(await client.get("/api/v1/issues"), 401, "unauthenticated")


@pytest.mark.parametrize("service", ["subscriptions", "publishing", "delivery"])
async def test_a_service_takes_nothing_but_the_gateways_signed_identity(system: System, service: str) -> None:
    path = {"subscriptions": "/api/v1/subscribers", "publishing": "/api/v1/issues", "delivery": "/api/v1/senders"}
    async with httpx.AsyncClient(transport=in_this_process(system.apps[service]), base_url="http://inside") as direct:
        for headers in ({}, {"x-broadsheet-identity": "e30.e30.e30"}, {"authorization": f"Bearer {system.api_key}"}):
            _assert_problem(await direct.get(path[service], headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    "path", [path.replace("1", "987654321") for path in READS if path.count("1") > 1 and "?" not in path]
)
async def test_an_unknown_id_is_404_as_a_problem(system: System, path: str) -> None:
    _assert_problem(await system.api.get(path.replace("/api/v987654321/", "/api/v1/")), 404, "not-found")


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, body in WRITES if path.count("1") > 1])
async def test_doing_something_to_an_unknown_id_is_404_as_a_problem(
    system: System, path: str, body: dict[str, Any]
) -> None:
    unknown = path.replace("/1/", "/987654321/").replace("/1-1/", "/987654321-1/")
    _assert_problem(await system.api.post(unknown, json=body), 404, "not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/v1/",
        "/api/v1/issues/abc",
        "/api/v1/issues/0",
        "/api/v1/issues/-1",
        "/api/v1/issues/99999999999999999999",
        "/api/v1/issues/1/2/3",
        "/api/v1/issues/%2e%2e/newsletters",
        "/api/v2/issues",
    ],
)
async def test_a_path_that_the_api_does_not_have_is_a_problem_below_500(system: System, path: str) -> None:
    answer = await system.api.get(path)
    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == "application/problem+json"
