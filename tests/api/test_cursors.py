"""Every list of the API is paged alike: cursors are opaque and bounded, nonsense is refused, and whatever is added
while somebody pages makes nothing appear twice or not at all.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx
import msgspec
import pytest

from broadsheet_common.http.pagination import CURSOR_CHARS_MAX, PAGE_SIZE_MAX, encode_cursor, encode_key_cursor
from harness.http.every_operation import LAYOUT
from harness.http.service_documents import own_api, service_documents
from harness.system import System

FIRST: Final = 5
"""What is there when paging begins."""
LATER: Final = 3
PAGES_MAX: Final = 20


class Listed(msgspec.Struct, frozen=True):
    """A list, and what adds the n-th thing to it; None: nothing can be added to it later."""

    path: str
    add: Callable[[int], Awaitable[object]] | None
    query: dict[str, str] = {}
    body: dict[str, Any] | None = None

    async def page(self, system: System, **asked: Any) -> httpx.Response:
        if self.body is None:
            return await system.api.get(self.path, params=self.query | asked)
        return await system.api.post(self.path, json=self.body | asked)


def paged_operations() -> set[str]:
    """By their ids, those that take a cursor."""
    found = set()
    for document in (own_api().document(), *service_documents().values()):
        for path, item in document["paths"].items():
            for operation in item.values():
                if path.startswith("/api/v1/") and (
                    any(one["name"] == "cursor" for one in operation.get("parameters", []))
                    or _takes_cursor_in_body(document, operation)
                ):
                    found.add(operation["operationId"])
    return found


def _takes_cursor_in_body(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return "cursor" in document["components"]["schemas"].get(name, {}).get("properties", {})


async def made(system: System, method: str, path: str, **request: Any) -> dict[str, Any]:
    answer = await system.api.request(method, f"/api/v1/{path}", **request)
    assert answer.is_success, (path, answer.status_code, answer.text)
    body: dict[str, Any] = answer.json()
    return body


def by_post(path: str, body: Callable[[int], dict[str, Any]]) -> Callable[[System], Awaitable[Listed]]:
    async def make(system: System) -> Listed:
        return Listed(f"/api/v1/{path}", lambda n: made(system, "POST", path, json=body(n)))

    return make


def of_subscribers(**query: str) -> Callable[[System], Awaitable[Listed]]:
    async def make(system: System) -> Listed:
        # Each sorts before the one added before it.
        return Listed("/api/v1/subscribers", lambda n: made(system, "POST", "subscribers", json=_reader(n)), query)

    return make


def _reader(n: int) -> dict[str, Any]:
    return {"email": f"reader-{90 - n}@example.com", "name": f"Reader {90 - n}", "tags": ["paged"]}


async def _search(system: System) -> Listed:
    body = {"filter": {"field": "tag", "op": "has", "value": "paged"}}
    path = "subscribers/search"
    return Listed(f"/api/v1/{path}", lambda n: made(system, "POST", "subscribers", json=_reader(n)), body=body)


async def _key_uses(system: System) -> Listed:
    key = await made(system, "POST", "api-keys", json={"name": "watched", "scopes": ["issues:read"]})
    return Listed(
        f"/api/v1/api-keys/{key['id']}/uses",
        lambda n: system.run_sql(
            "INSERT INTO gateway.api_key_use (key_id, day, source, requests, last_at) "
            "VALUES (%s, current_date - 3 + %s / 3, %s, 1, now()) RETURNING 1",
            key["id"],
            n,
            f"192.0.2.{n}",
        ),
    )


async def _audit(system: System) -> Listed:
    async def add(n: int) -> None:
        await made(system, "POST", "segments", json={"name": f"Audited {n}", "filter": {"all": []}})
        await system.run_sql("SELECT audit.seal(1000)")

    return Listed("/api/v1/audit", add, {"action": "segment.created"})


async def _consents(system: System) -> Listed:
    return Listed("/api/v1/consents", lambda n: made(system, "POST", "subscribers", json=_reader(n)))


async def _consent_of_one(system: System) -> Listed:
    person = await made(system, "POST", "subscribers", json=_reader(0))
    return Listed(
        f"/api/v1/subscribers/{person['id']}/consent",
        lambda _: system.run_sql(
            "INSERT INTO subscriptions.consent_event (subscriber_id, newsletter_id, kind, source) "
            "VALUES (%s, 1, 'confirmed', 'link') RETURNING 1",
            person["id"],
        ),
    )


async def _issues_to_one(system: System) -> Listed:
    [reader] = system.seed.subscribers(1)

    async def add(n: int) -> None:
        system.seed.published_issue([reader], title=f"Issue {n}")

    return Listed("/api/v1/deliveries", add, {"subscriber_id": str(reader)})


async def _deliveries_of_one(system: System) -> Listed:
    issue_id = system.seed.published_issue(system.seed.subscribers(FIRST))
    return Listed(f"/api/v1/issues/{issue_id}/deliveries", None)


async def _decisions(system: System) -> Listed:
    issue_id = system.seed.published_issue(system.seed.subscribers(1))
    return Listed(
        f"/api/v1/issues/{issue_id}/decisions",
        lambda n: system.run_sql(
            "INSERT INTO delivery.operator_action (issue_id, action, seqs, decided_by) "
            "VALUES (%s, 'retry_failed', int4multirange(int4range(1, %s)), 'key:1') RETURNING 1",
            issue_id,
            n + 2,
        ),
    )


async def _imports(system: System) -> Listed:
    async def add(n: int) -> object:
        query = {"consent_basis": "A form", "dry_run": "true"}
        content = f"email\nreader-{n}@example.com\n".encode()
        return await made(
            system, "POST", "imports", params=query, content=content, headers={"content-type": "text/csv"}
        )

    return Listed("/api/v1/imports", add)


async def _rejected_rows(system: System) -> Listed:
    made_import = await made(
        system,
        "POST",
        "imports",
        params={"consent_basis": "A form", "dry_run": "true"},
        content=b"email\nreader@example.com\n",
        headers={"content-type": "text/csv"},
    )
    return Listed(
        f"/api/v1/imports/{made_import['id']}/rejected-rows",
        lambda n: system.run_sql(
            "INSERT INTO subscriptions.import_reject (import_id, run_number, record_number, line_number, reason, cells)"
            " SELECT id, run_number, %s, %s, 'no address', '[\"nobody\"]' FROM subscriptions.import_job "
            "WHERE id = %s RETURNING 1",
            n + 1,
            n + 2,
            made_import["id"],
        ),
    )


async def _steps(system: System) -> Listed:
    issue = await made(system, "POST", "issues", json={"title": "Watched"})
    return Listed(
        f"/api/v1/issues/{issue['id']}/history",
        lambda n: system.run_sql(
            "INSERT INTO publishing.issue_step (issue_id, step, actor, note, version) "
            "VALUES (%s, 'restored', 'key:1', %s, 1) RETURNING 1",
            issue["id"],
            str(n),
        ),
    )


async def _revisions(system: System) -> Listed:
    issue = await made(system, "POST", "issues", json={"title": "Watched"})
    path = f"issues/{issue['id']}"
    return Listed(
        f"/api/v1/{path}/revisions",
        lambda n: made(system, "PATCH", path, json={"title": f"Save {n}"}, headers={"if-match": "*"}),
    )


async def _users(system: System) -> Listed:
    return Listed("/api/v1/users", lambda n: system.add_user(f"user{n}"))


def _endpoint(n: int) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:49151/{n}", "events": ["subscriber.confirmed"]}


async def _calls(system: System) -> Listed:
    endpoint = await made(system, "POST", "webhook-endpoints", json=_endpoint(0))
    path = f"webhook-endpoints/{endpoint['id']}"
    return Listed(f"/api/v1/{path}/deliveries", lambda _: made(system, "POST", f"{path}/test"))


def _invitation(n: int) -> dict[str, Any]:
    roles = [{"role": "editor", "newsletter_id": None}]
    return {"email": f"colleague-{n}@example.com", "name": "Colleague", "roles": roles}


LISTS: Final[dict[str, Callable[[System], Awaitable[Listed]]]] = {
    "listApiKeys": by_post("api-keys", lambda n: {"name": f"key {n}", "scopes": ["issues:read"]}),
    "listApiKeyUses": _key_uses,
    "listAuditEntries": _audit,
    "listConsents": _consents,
    "listConsentOfSubscriber": _consent_of_one,
    "findDeliveries": _issues_to_one,
    "listImports": _imports,
    "listImportRejectedRows": _rejected_rows,
    "listInvitations": by_post("users/invitations", _invitation),
    "listIssues": by_post("issues", lambda n: {"title": f"Issue {n}"}),
    "listIssueDecisions": _decisions,
    "listIssueDeliveries": _deliveries_of_one,
    "listIssueSteps": _steps,
    "listRevisions": _revisions,
    "listLayouts": by_post("layouts", lambda n: {"name": f"Layout {n}", "format": "html", "source": LAYOUT}),
    "listNewsletters": by_post("newsletters", lambda n: {"name": f"Newsletter {n}"}),
    "listSegments": by_post("segments", lambda n: {"name": f"Segment {n}", "filter": {"all": []}}),
    "listSubscribers": of_subscribers(),
    "listSubscribers by address": of_subscribers(email_prefix="reader"),
    "listSubscribers by name": of_subscribers(name_prefix="reader"),
    "listSubscribers by tag": of_subscribers(tag="paged"),
    "listSubscribers by state": of_subscribers(newsletter_id="1", state="pending"),
    "searchSubscribers": _search,
    "listSuppressions": by_post("suppressions", lambda n: {"email": f"reader-{n}@example.com", "stream": "broadcast"}),
    "listUsers": _users,
    "listWebhookEndpoints": by_post("webhook-endpoints", _endpoint),
    "listWebhookDeliveries": _calls,
}


def encoded(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


NONSENSE: Final = (
    "", "x", "%", "1", "v1:1", "null", "ü", "../../etc", "' OR 1=1",
    encoded("v1:"), encoded("v1:-1"), encoded("v1:1e5"), encoded("v1:0x10"), encoded("v1: 1"), encoded("v1:1 "),
    encoded("v1:" + "9" * 19), encoded("v1:\u0661"), encoded("v3:1"), encoded("1"), encoded("{}"), encoded(b"\xff\xfe"),
    encoded("v2:1"), encoded("v2::a"), encoded("v2:-1:a"), encoded("v2:1:a\0b"), encoded("v2:1:" + "a" * 301),
    "A" * CURSOR_CHARS_MAX, "A" * (CURSOR_CHARS_MAX + 1),
)  # fmt: skip
FAR_OFF: Final = (
    encode_cursor(0), encode_cursor(2**31 - 1), encode_cursor(2**31), encode_cursor(10**18 - 1),
    encode_key_cursor("", 0), encode_key_cursor("reader", 10**18 - 1), encode_key_cursor("\uffff" * 90, 2**31),
)  # fmt: skip
"""Well formed, for positions at which there may be nothing; or of another list."""


def test_every_list_of_the_document_is_looked_at_here() -> None:
    assert {name.partition(" ")[0] for name in LISTS} == paged_operations()


@pytest.mark.parametrize("name", LISTS)
async def test_nonsense_is_refused_and_names_its_place(system: System, name: str) -> None:
    listed = await LISTS[name](system)
    faults = []
    for cursor in NONSENSE:
        answer = await listed.page(system, cursor=cursor)
        told = answer.json()
        pointers = [error["pointer"] for error in told.get("errors", [])]
        if answer.status_code not in {400, 422} or pointers != ["/cursor"]:
            faults.append((cursor, answer.status_code, told))
    for cursor in FAR_OFF:
        answer = await listed.page(system, cursor=cursor)
        if answer.status_code not in {200, 400}:
            faults.append((cursor, answer.status_code, answer.json()))
    for limit in (0, -1, PAGE_SIZE_MAX + 1, "x"):
        answer = await listed.page(system, limit=limit)
        if answer.status_code != 400:
            faults.append((f"limit {limit}", answer.status_code, answer.json()))
    assert faults == []


async def _pages(system: System, listed: Listed) -> AsyncIterator[list[str]]:
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        answer = await listed.page(system, limit=2, **({} if cursor is None else {"cursor": cursor}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= 2
        yield [_identity(item) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return
        assert len(cursor) <= CURSOR_CHARS_MAX
    raise AssertionError("the list does not end")


def _identity(item: dict[str, Any]) -> str:
    for name in ("id", "number", "version"):
        if name in item and not (name == "version" and "step" in item):
            return str(item[name])
    return json.dumps({member: value for member, value in item.items() if not member.endswith("last_at")})


@pytest.mark.parametrize("name", LISTS)
async def test_what_is_added_while_somebody_pages_makes_nothing_appear_twice_or_not_at_all(
    system: System, name: str
) -> None:
    listed = await LISTS[name](system)
    for n in range(FIRST if listed.add is not None else 0):
        await listed.add(n)  # type: ignore[misc]  # not None, as the range says
    there = [_identity(item) for item in (await listed.page(system, limit=PAGE_SIZE_MAX)).json()["items"]]
    assert len(there) == len(set(there)) >= FIRST
    found: list[str] = []
    later = 0
    async for page in _pages(system, listed):
        found += page
        if listed.add is not None and later < LATER:
            await listed.add(FIRST + later)
            later += 1
    assert len(found) == len(set(found))
    assert [one for one in found if one in there] == there
    assert len(found) <= len(there) + LATER
