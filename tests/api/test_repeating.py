"""Every POST that has an effect takes an `Idempotency-Key`: sent again, it has no second effect and gets the first
answer again.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
from psycopg import sql

from broadsheet_common.http import idempotency
from broadsheet_gateway.access.rights import Grant
from harness.http.every_operation import NOT_HERE, visit_every_operation
from harness.owner import AUDIT_LOG
from harness.system import System

ROOT: Final = Path(__file__).resolve().parents[2]
READS: Final[dict[str, str]] = {
    "checkIssue": "looks at a draft",
    "countAudience": "counts",
    "countSegment": "counts",
    "previewIssue": "shows a draft",
    "previewSignUpMail": "shows a mail",
    "previewWelcomeMail": "shows a mail",
    "searchSubscribers": "reads; a POST because a filter is too long for a query",
}
"""The POSTs that change nothing, and why they are POSTs."""
OWN: Final = frozenset({
    "createApiKey", "rotateApiKey", "revokeApiKey", "inviteUser", "sendInvitationAgain", "deactivateUser",
    "reactivateUser", "endUserSessions", "removeSecondFactor",
})  # fmt: skip
"""Of the gateway's own API."""
ELSEWHERE: Final[dict[str, str]] = {
    "chooseWinner": "services/publishing/tests/variants/test_ab_test.py",
    "decideApproval": "services/publishing/tests/approvals/test_approvals.py",
    "decideDelivery": "services/delivery/tests/settling/test_repeating.py",
    "decideUncertainDeliveries": "services/delivery/tests/settling/test_repeating.py",
    "retryFailedDeliveries": "services/delivery/tests/settling/test_repeating.py",
    "startImport": "services/subscriptions/tests/imports/test_imports.py",
    "cancelImport": "services/subscriptions/tests/imports/test_imports.py",
    "undoImport": "services/subscriptions/tests/imports/test_imports.py",
}
"""Operations that need a state of things which the services' own tests bring about."""


async def posts(system: System) -> dict[str, dict[str, Any]]:
    """The POSTs of the document that clients see, by their ids."""
    document = (await system.api.get("/openapi.json")).json()
    return {item["post"]["operationId"]: item["post"] for item in document["paths"].values() if "post" in item}


def takes_a_key(operation: dict[str, Any]) -> bool:
    return any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))


async def test_every_post_takes_a_key_or_is_named_here_with_its_reason(system: System) -> None:
    operations = await posts(system)
    assert {name for name, one in operations.items() if not takes_a_key(one)} == READS.keys()
    for name, one in operations.items():
        if takes_a_key(one):
            told = one["responses"]
            assert "idempotency-key-reused" in json.dumps(told["422"]), name
            assert "idempotency-in-flight" in json.dumps(told["409"]), name


class Repeater:
    """Sends each POST that takes a key twice with one, and looks for a second effect."""

    def __init__(self, system: System, keyed: set[str]) -> None:
        self._system = system
        self._keyed = keyed
        self.done: set[str] = set()
        self.secrets: list[str] = []
        self.faults: list[str] = []

    async def do(self, operation: str, method: str, path: str, **request: Any) -> Any:
        headers = request.pop("headers", {})
        if operation in self._keyed:
            headers |= {"idempotency-key": f"of {operation}, {secrets.token_hex(8)}"}
        first = await self._send(method, path, headers, **request)
        assert first.is_success, (operation, first.status_code, first.text)
        if operation in self._keyed:
            await self._repeat(operation, first, method, path, headers, **request)
            self.done.add(operation)
        return first.json() if first.headers.get("content-type", "").startswith("application/json") else None

    async def _repeat(
        self, operation: str, first: httpx.Response, method: str, path: str, headers: dict[str, str], **request: Any
    ) -> None:
        before = await self._effects()
        again = await self._send(method, path, headers, **request)
        if (again.status_code, again.content) != (first.status_code, first.content):
            self.faults.append(f"{operation}: {again.status_code} {again.text}, not {first.text}")
        elif again.headers.get("etag") != first.headers.get("etag"):
            self.faults.append(f"{operation}: another ETag")
        assert await self._effects() == before, operation
        if sent := first.request.content:
            types = {"content-type": first.request.headers["content-type"]}
            other = await self._send(method, path, headers | types, content=sent + b"\n", params=request.get("params"))
            assert other.status_code == 422, (operation, other.text)
            assert other.json()["type"] == "urn:broadsheet:problem:idempotency-key-reused", operation

    async def _send(self, method: str, path: str, headers: dict[str, str], **request: Any) -> httpx.Response:
        return await self._system.api.request(method, path, headers=headers, **request)

    async def _effects(self) -> list[tuple[object, ...]]:
        """What every effect adds to: entries in the audit log."""
        return await self._system.run_sql(f"SELECT count(*) FROM {AUDIT_LOG}")


async def test_each_of_the_services_operations_has_one_effect_however_often_it_is_sent(system: System) -> None:
    keyed = {name for name, one in (await posts(system)).items() if takes_a_key(one)}
    repeater = Repeater(system, keyed)
    await visit_every_operation(system, repeater)
    assert repeater.faults == []
    assert repeater.done == keyed - OWN - ELSEWHERE.keys()
    assert ELSEWHERE.keys() == NOT_HERE
    for operation, path in ELSEWHERE.items():
        assert re.search(r"key=|Idempotency-Key", (ROOT / path).read_text()), operation


async def test_each_operation_on_users_has_one_effect_however_often_it_is_sent(system: System) -> None:
    user_id, _ = await system.add_user("eve", Grant("editor"))
    repeater = Repeater(system, set(OWN))
    of_user = f"/api/v1/users/{user_id}"
    await repeater.do("endUserSessions", "POST", f"{of_user}/end-sessions")
    await repeater.do("deactivateUser", "POST", f"{of_user}/deactivate")
    await repeater.do("reactivateUser", "POST", f"{of_user}/reactivate")
    await repeater.do("removeSecondFactor", "POST", f"{of_user}/remove-second-factor")
    invited = await repeater.do(
        "inviteUser",
        "POST",
        "/api/v1/users/invitations",
        json={"email": "joan@example.com", "name": "Joan", "roles": [{"role": "editor", "newsletter_id": None}]},
    )
    await system.run_sql("UPDATE gateway.invitation SET sent_at = sent_at - interval '1 hour' RETURNING 1")
    await repeater.do("sendInvitationAgain", "POST", f"/api/v1/users/invitations/{invited['id']}/send-again")
    made = await system.api.post("/api/v1/api-keys", json={"name": "spare", "scopes": ["issues:read"]})
    await repeater.do("revokeApiKey", "POST", f"/api/v1/api-keys/{made.json()['id']}/revoke")
    mails = await system.run_sql("SELECT count(*) FROM delivery.single_mail WHERE kind = 'invitation'")
    assert mails == [(2,)]
    assert repeater.faults == []
    assert repeater.done == OWN - {"createApiKey", "rotateApiKey"}


@pytest.mark.parametrize("operation", ["createApiKey", "rotateApiKey"])
async def test_a_keys_secret_is_shown_once_and_kept_nowhere_and_no_second_one_is_made(
    system: System, operation: str
) -> None:
    key_id = (await system.api.post("/api/v1/api-keys", json={"name": "first", "scopes": ["issues:read"]})).json()["id"]
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "createApiKey": ("/api/v1/api-keys", {"name": "second", "scopes": ["issues:read"]}),
        "rotateApiKey": (f"/api/v1/api-keys/{key_id}/rotate", {"overlap_s": 60}),
    }
    path, body = requests[operation]
    headers = {"idempotency-key": "a"}
    first = await system.api.post(path, json=body, headers=headers)
    assert first.is_success, first.text
    secret = first.json()["key"]
    state = "SELECT id, secret_sha256, rotated_at FROM gateway.api_key ORDER BY id"
    before = await system.run_sql(state)
    again = await system.api.post(path, json=body, headers=headers)
    assert (again.status_code, again.json()["type"]) == (409, "urn:broadsheet:problem:secret-not-kept")
    assert again.json()["facts"] == {"api_key_id": first.json()["id"]}
    assert await system.run_sql(state) == before
    [(kept,)] = await system.run_sql("SELECT convert_from(body, 'UTF8') FROM gateway.idempotency_key")
    assert secret not in str(kept)
    assert secret.rpartition("_")[2] not in str(kept)
    body |= {"name": "third"} if operation == "createApiKey" else {"overlap_s": 0}
    other = await system.api.post(path, json=body, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")


IN_FLIGHT: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "subscriptions": ("segments", {"name": "A", "filter": {"all": []}}),
    "subscriptions, a batch": ("subscribers/batch", {"items": [{"create": {"email": "a@example.com", "name": "A"}}]}),
    "publishing": ("newsletters", {"name": "A"}),
    "delivery": ("senders/pause", {"reason": "A"}),
    "gateway": ("api-keys", {"name": "A", "scopes": ["issues:read"]}),
}


@pytest.mark.parametrize("name", IN_FLIGHT)
async def test_while_the_first_request_runs_the_second_is_to_come_again(
    system: System, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_FOR_FIRST_MS", 100)
    [(key_id,)] = await system.run_sql("SELECT max(id) FROM gateway.api_key")
    path, body = IN_FLIGHT[name]
    headers = {"idempotency-key": "a"}
    async with await psycopg.AsyncConnection.connect(system.database.owner_url) as first:
        # As the first request's transaction, which has claimed the key and not ended.
        await first.execute(
            sql.SQL(
                "INSERT INTO {}.idempotency_key (scope, key, fingerprint, expires_at) "
                "VALUES (%s, 'a', ''::bytea, now() + interval '1 day')"
            ).format(sql.Identifier(name.partition(",")[0])),
            (f"key:{key_id}",),
        )
        second = await system.api.post(f"/api/v1/{path}", json=body, headers=headers)
        assert (second.status_code, second.json()["type"]) == (409, "urn:broadsheet:problem:idempotency-in-flight")
        assert second.headers["retry-after"] == "1"
        await first.rollback()
    assert (await system.api.post(f"/api/v1/{path}", json=body, headers=headers)).is_success
