"""Every operation of the API and every page says which permission it needs, and each role can do exactly what its
permissions name.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import httpx
import pytest
from litestar.routes import HTTPRoute

from broadsheet_common.contracts.identity import Requirement
from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.access.roles import ROLE_PERMISSIONS, Role
from broadsheet_gateway.forwarding.route_table import ROUTES, STREAM_ROUTES
from harness.http.service_documents import route_apps
from harness.system import System

OPERATIONS = [(method, template) for template, _, permissions in ROUTES for method in permissions]
NEEDED = {(method, template): need for template, _, permissions in ROUTES for method, need in permissions.items()}
PASSWORD = "a passphrase of this test"


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", path)


def _requirements() -> dict[tuple[str, str], list[Requirement]]:
    """The guards of every public operation, by method and path, as their owners state them."""
    found: dict[tuple[str, str], list[Requirement]] = {}
    for app in route_apps().values():
        for route in app.routes:
            if not isinstance(route, HTTPRoute) or not route.path_format.startswith("/api/v1/"):
                continue
            for handler in route.route_handlers:
                guards = [guard for guard in handler.guards or () if isinstance(guard, Requirement)]
                for method in set(handler.http_methods) - {"OPTIONS", "HEAD"}:
                    found[str(method), _shape(route.path_format)] = guards
    return found


def test_every_operation_names_one_permission_and_the_gateway_the_same() -> None:
    stated = {operation: [guard.permission for guard in guards] for operation, guards in _requirements().items()}
    assert stated == {(method, _shape(template)): [NEEDED[method, template]] for method, template in OPERATIONS}


def test_every_permission_but_public_is_needed_by_an_operation() -> None:
    assert set(NEEDED.values()) == GRANTABLE


@asynccontextmanager
async def somebody(system: System, *grants: Grant) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key that has every scope, of a user with these roles."""
    _, key = await system.add_user(f"user-{secrets.token_hex(4)}", *grants)
    async with system.client(authorization=f"Bearer {key}") as client:
        yield client


async def _statuses(client: httpx.AsyncClient, record_id: str = "987654321") -> dict[tuple[str, str], int]:
    """The status of every operation, about records that are not there, with a body that is not valid."""
    statuses = {}
    for method, template in OPERATIONS:
        path = re.sub(r"\{[a-z_]+\}", record_id, template)
        body: dict[str, Any] = {} if method in {"GET", "DELETE"} else {"json": {"not a field": 1}}
        statuses[method, template] = (await client.request(method, path, **body)).status_code
    return statuses


@pytest.mark.parametrize("role", get_args(Role))
async def test_each_role_can_do_what_its_permissions_name_and_nothing_else(system: System, role: Role) -> None:
    async with somebody(system, Grant(role)) as client:
        statuses = await _statuses(client)
    refused = {operation for operation, status in statuses.items() if status == 403}
    assert refused == {operation for operation, needed in NEEDED.items() if needed not in ROLE_PERMISSIONS[role]}
    # Here delivery's loops do not run, and without them there are no streams.
    assert {template for (_, template), status in statuses.items() if status >= 500} <= STREAM_ROUTES
    assert not [operation for operation, status in statuses.items() if status == 401]


@pytest.mark.parametrize("record_id", ["0", "-1", str(2**63), "9" * 30])
async def test_ids_that_no_record_has_are_no_fault_of_ours_for_a_role_of_one_newsletter(
    system: System, record_id: str
) -> None:
    """The newsletter of the record is looked for before the handler's parameters are checked."""
    async with somebody(system, *(Grant(role, 1) for role in get_args(Role) if role != "owner")) as client:
        statuses = await _statuses(client, record_id)
    assert {template for (_, template), status in statuses.items() if status >= 500} <= STREAM_ROUTES - {
        "/api/v1/issues/{id}/events"
    }


async def test_without_a_role_every_operation_is_refused(system: System) -> None:
    async with somebody(system) as client:
        assert set((await _statuses(client)).values()) == {403}


async def test_without_credentials_every_operation_is_refused(system: System) -> None:
    assert set((await _statuses(system.visitor)).values()) == {401}


async def test_a_key_allows_what_both_its_scopes_and_its_users_role_allow(system: System) -> None:
    """Case 30."""
    async with somebody(system, Grant("analyst")) as client:
        assert (await client.get("/api/v1/issues")).status_code == 200
        assert (await client.get("/api/v1/subscribers")).status_code == 403


async def _newsletter(system: System, slug: str) -> int:
    answer = await system.api.post("/api/v1/newsletters", json={"name": slug, "slug": slug})
    assert answer.status_code == 201, answer.text
    newsletter_id: int = answer.json()["id"]
    return newsletter_id


async def _issue(system: System, newsletter_id: int) -> int:
    answer = await system.api.post("/api/v1/issues", json={"title": "An issue", "newsletter_id": newsletter_id})
    assert answer.status_code == 201, answer.text
    issue_id: int = answer.json()["id"]
    return issue_id


async def test_a_role_for_one_newsletter_opens_that_one_and_no_other(system: System) -> None:
    own, other = await _newsletter(system, "own"), await _newsletter(system, "other")
    own_issue, other_issue = await _issue(system, own), await _issue(system, other)
    async with somebody(system, Grant("publisher", own)) as client:
        assert [one["id"] for one in (await client.get("/api/v1/newsletters")).json()["items"]] == [own]
        assert [one["id"] for one in (await client.get("/api/v1/issues")).json()["items"]] == [own_issue]
        assert (await client.get(f"/api/v1/issues?newsletter_id={other}")).status_code == 403
        for path, status in (
            (f"/api/v1/newsletters/{own}", 200),
            (f"/api/v1/newsletters/{other}", 404),
            (f"/api/v1/issues/{own_issue}", 200),
            (f"/api/v1/issues/{other_issue}", 404),
            (f"/api/v1/issues/{other_issue}/revisions", 404),
            (f"/api/v1/issues/{other_issue}/report", 404),
            ("/api/v1/layouts", 403),
            ("/api/v1/segments", 403),
            ("/api/v1/senders", 403),
        ):
            assert (await client.get(path)).status_code == status, path
        made = await client.post("/api/v1/issues", json={"title": "Mine", "newsletter_id": own})
        assert made.status_code == 201
        for body in ({"title": "Not mine", "newsletter_id": other}, {"title": "The default one's"}):
            assert (await client.post("/api/v1/issues", json=body)).status_code == 403
        for step in ("publish", "cancel", "duplicate", "checks"):
            assert (await client.post(f"/api/v1/issues/{other_issue}/{step}", json={})).status_code == 404, step
        assert (await client.delete(f"/api/v1/issues/{other_issue}")).status_code == 404
    titles = system.seed.execute("SELECT title FROM publishing.issue ORDER BY id")
    assert titles == [("An issue",), ("An issue",), ("Mine",)]


async def test_support_for_one_newsletter_sees_its_subscribers_and_nothing_of_their_others(system: System) -> None:
    own, other = await _newsletter(system, "own"), await _newsletter(system, "other")
    both = {"email": "both@example.com", "name": "Both"}
    first = (await system.api.post("/api/v1/subscribers", json={**both, "newsletter_id": own})).json()["id"]
    await system.api.post("/api/v1/subscribers", json={**both, "newsletter_id": other})
    elsewhere = (
        await system.api.post(
            "/api/v1/subscribers", json={"email": "elsewhere@example.com", "name": "E", "newsletter_id": other}
        )
    ).json()["id"]
    async with somebody(system, Grant("support", own)) as client:
        assert (await client.get("/api/v1/subscribers")).status_code == 403
        assert (await client.get(f"/api/v1/subscribers?newsletter_id={other}")).status_code == 403
        [listed] = (await client.get(f"/api/v1/subscribers?newsletter_id={own}")).json()["items"]
        assert listed["id"] == first
        assert [one["newsletter_id"] for one in listed["subscriptions"]] == [own]
        alone = await client.get(f"/api/v1/subscribers/{first}")
        assert [one["newsletter_id"] for one in alone.json()["subscriptions"]] == [own]
        assert (await client.get(f"/api/v1/subscribers/{elsewhere}")).status_code == 404
        refused = await client.post(f"/api/v1/subscribers/{first}/unsubscribe", json={})
        assert refused.status_code == 403
        left = await client.post(f"/api/v1/subscribers/{first}/unsubscribe", json={"newsletter_id": own})
        assert left.status_code == 200
        gone = await client.post(f"/api/v1/subscribers/{elsewhere}/unsubscribe", json={"newsletter_id": own})
        assert gone.status_code == 404
        for path in ("search", f"{first}/erase"):
            assert (await client.post(f"/api/v1/subscribers/{path}", json={"filter": {"all": []}})).status_code == 403
    states = system.seed.execute(
        "SELECT newsletter_id, state FROM subscriptions.subscription WHERE subscriber_id = %s ORDER BY 1", (first,)
    )
    assert states == [(own, "unsubscribed"), (other, "pending")]


async def test_an_editor_cannot_publish_while_writing(system: System) -> None:
    content = {"title": "A", "format": "html", "content": "B", "text_content": "C"}
    async with somebody(system, Grant("editor")) as client:
        assert (await client.post("/api/v1/issues", json={**content, "publish": True})).status_code in {403, 409}
        assert (await client.post("/api/v1/issues", json=content)).status_code == 201
    assert system.seed.execute("SELECT status FROM publishing.issue") == [("draft",)]


async def test_every_page_inside_says_what_it_needs(system: System) -> None:
    inside = [
        (route.path_format, handler)
        for route in system.apps["gateway"].routes
        if isinstance(route, HTTPRoute) and route.path_format.startswith("/admin")
        for handler in route.route_handlers
        if handler.opt.get("page_permissions") is None and set(handler.http_methods) != {"OPTIONS"}
    ]
    assert inside == []


async def test_a_page_is_refused_without_its_permission_and_a_link_to_it_is_not_shown(system: System) -> None:
    await system.log_in()
    system.seed.execute("UPDATE gateway.user_role SET role = 'editor'")
    try:
        refused = await system.visitor.get("/admin/newsletters", headers={"accept": "text/html"})
        assert refused.status_code == 403
        assert "Your role does not include this page" in refused.text
        dashboard = await system.visitor.get("/admin/dashboard")
        assert dashboard.status_code == 200
        assert "/admin/newsletters" not in dashboard.text
        assert (await system.publish_by_form(title="No")).status_code == 403
    finally:
        system.seed.execute("UPDATE gateway.user_role SET role = 'owner'")
    assert "/admin/newsletters" in (await system.visitor.get("/admin/dashboard")).text
    assert system.seed.count("publishing.issue") == 0
