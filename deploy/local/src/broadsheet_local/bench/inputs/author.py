"""The author's side: writes an issue and publishes it through the gateway's API."""

import secrets
import time
from datetime import UTC, datetime

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_local.bench.inputs.issue_body import BenchIssue
from broadsheet_local.demo.people import Issue, expect

TIMEOUT_S = 30.0


class Publishing(msgspec.Struct, frozen=True):
    """The publish call: when it began (seconds since 1970) and how long its answer took."""

    issue_id: int
    began_epoch_s: float
    call_ms: float


class _Created(msgspec.Struct, frozen=True):
    id: int


class Author:
    def __init__(self, gateway_url: str, api_key: str) -> None:
        self._client = HttpxAiohttpClient(
            base_url=gateway_url,
            timeout=TIMEOUT_S,
            headers={"Authorization": f"Bearer {api_key}"},
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def write(self, issue: BenchIssue) -> int:
        """A draft; its id."""
        answer = await self._client.post(
            "/api/v1/issues",
            json={"title": issue.title, "format": "html", "content": issue.html, "text_content": issue.text},
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )
        expect(answer, httpx.codes.CREATED, "writing the issue")
        return msgspec.json.decode(answer.content, type=_Created).id

    async def save(self, issue_id: int, content: str) -> float:
        """As an editor saves, without the text in the answer. How long the answer took, in milliseconds."""
        headers = {"If-Match": "*", "Content-Type": "application/json", "Prefer": "return=minimal"}
        body = msgspec.json.encode({"content": content})
        began_s = time.perf_counter()
        answer = await self._client.patch(f"/api/v1/issues/{issue_id}", content=body, headers=headers)
        call_ms = (time.perf_counter() - began_s) * 1000
        expect(answer, httpx.codes.OK, "saving the issue")
        return call_ms

    async def publish(self, issue_id: int) -> Publishing:
        began_epoch_s, began_s = datetime.now(UTC).timestamp(), time.perf_counter()
        answer = await self._client.post(
            f"/api/v1/issues/{issue_id}/publish", headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        call_ms = (time.perf_counter() - began_s) * 1000
        expect(answer, httpx.codes.ACCEPTED, "publishing the issue")
        return Publishing(issue_id, began_epoch_s, call_ms)

    async def issue(self, issue_id: int) -> Issue:
        answer = await self._client.get(f"/api/v1/issues/{issue_id}")
        expect(answer, httpx.codes.OK, "reading the issue's counts")
        return msgspec.json.decode(answer.content, type=Issue)
