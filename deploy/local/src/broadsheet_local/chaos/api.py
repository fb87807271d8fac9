"""A client of the gateway for scenarios: it keeps every answer as it came and never retries by itself."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_local.demo.people import Counts

REQUEST_TIMEOUT_S = 30.0
CONNECTIONS_MAX = 64
REFUSED_MIN, FAULT_MIN = 400, 500


class Answer(msgspec.Struct, frozen=True):
    """`status` is None when no answer came (`error` then names why)."""

    status: int | None
    body: bytes
    headers: Mapping[str, str]
    seconds: float
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and self.status < REFUSED_MIN

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def __str__(self) -> str:
        return f"{self.status or self.error} after {self.seconds:.2f} s"


class IssueView(msgspec.Struct, frozen=True):
    id: int
    title: str
    status: str
    status_reason: str | None
    counts: Counts


class SendingView(msgspec.Struct, frozen=True):
    """Why all sending is held, if it is; `state` names it."""

    state: str
    reason: str | None


class _Senders(msgspec.Struct, frozen=True):
    sending: SendingView


class DeliveryView(msgspec.Struct, frozen=True):
    subscriber_id: int
    status: str
    reason: str | None = None
    error_code: int | None = None


class _DeliveryPage(msgspec.Struct, frozen=True):
    items: list[DeliveryView]


class Api:
    """`fresh_connections`: a new connection for each request, so that a process that ends breaks no idle connection."""

    def __init__(self, url: str, api_key: str, *, fresh_connections: bool = False) -> None:
        self.url = url
        self._authorization = {"Authorization": f"Bearer {api_key}"}
        self._client = HttpxAiohttpClient(
            base_url=url,
            timeout=REQUEST_TIMEOUT_S,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=0 if fresh_connections else None
            ),
            headers={"Connection": "close"} if fresh_connections else {},
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Answer:
        began = time.monotonic()
        sent_headers = {
            **(self._authorization if path.startswith("/api/") else {"Origin": self.url}),
            **(headers or {}),
        }
        try:
            answer = await self._client.request(
                method, path, json=json, data=dict(form) if form is not None else None, headers=sent_headers,
                timeout=timeout_s,
            )  # fmt: skip
        except httpx.TransportError as error:
            return Answer(None, b"", {}, time.monotonic() - began, type(error).__name__)
        return Answer(answer.status_code, answer.content, answer.headers, time.monotonic() - began)

    async def issue(self, issue_id: int) -> IssueView | Answer:
        """The issue, or the answer that was not an issue."""
        answer = await self.request("GET", f"/api/v1/issues/{issue_id}", timeout_s=20.0)
        return msgspec.json.decode(answer.body, type=IssueView) if answer.status == httpx.codes.OK else answer

    async def sending(self) -> SendingView | None:
        answer = await self.request("GET", "/api/v1/senders", timeout_s=20.0)
        if answer.status != httpx.codes.OK:
            return None
        return msgspec.json.decode(answer.body, type=_Senders).sending

    async def deliveries(self, issue_id: int, status: str) -> list[DeliveryView]:
        """The first hundred deliveries of the issue in this state; empty when the API gives no answer."""
        answer = await self.request("GET", f"/api/v1/issues/{issue_id}/deliveries?status={status}&limit=100")
        return msgspec.json.decode(answer.body, type=_DeliveryPage).items if answer.succeeded else []

    async def sign_up(self, name: str, email: str) -> Answer:
        return await self.request("POST", "/subscriptions", form={"name": name, "email": email})

    async def unsubscribe(self, token: str) -> Answer:
        """One click, as a mailbox provider makes it (RFC 8058)."""
        return await self.request("POST", f"/unsubscribe/{token}", form={"List-Unsubscribe": "One-Click"})
