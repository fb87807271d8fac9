"""Outgoing webhooks: their targets, and their delivery with Postmark's retries.

One POST per event, basic authentication or custom headers, no signature. A 2xx ends it; a 4xx other than 408 and
429 drops it at once; anything else is retried after the waits below, which a setting scales.
"""

import asyncio
import base64
from collections import deque
from typing import Any, Final, Literal

import httpx
import msgspec

from broadsheet_postmark_sandbox.api.wire import Header, postmark_name

PENDING_MAX: Final = 10_000
CONCURRENT_MAX: Final = 64
WEBHOOKS_MAX: Final = 10
ATTEMPTS_SHOWN_MAX: Final = 1_000
# Postmark: 6 attempts over about 51 minutes.
RETRY_WAITS_S: Final = (60.0, 300.0, 600.0, 900.0, 1_200.0)

Trigger = Literal["Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange"]


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    username: str
    password: str


class Enabled(msgspec.Struct, frozen=True, rename=postmark_name):
    """One trigger. Some fields apply to certain triggers only."""

    enabled: bool = False
    post_first_open_only: bool | None = None
    include_content: bool | None = None


class Triggers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=postmark_name):
    open: Enabled = Enabled(post_first_open_only=False)
    click: Enabled = Enabled()
    delivery: Enabled = Enabled()
    bounce: Enabled = Enabled(include_content=False)
    spam_complaint: Enabled = Enabled(include_content=False)
    subscription_change: Enabled = Enabled()

    def wants(self, record_type: str) -> bool:
        """Whether events of this type are sent; unknown types always are."""
        match record_type:
            case "Open":
                return self.open.enabled
            case "Click":
                return self.click.enabled
            case "Delivery":
                return self.delivery.enabled
            case "Bounce":
                return self.bounce.enabled
            case "SpamComplaint":
                return self.spam_complaint.enabled
            case "SubscriptionChange":
                return self.subscription_change.enabled
            case _:
                return True


class Webhook(msgspec.Struct, frozen=True):
    """A target. If `stream` is None it gets the events of every stream."""

    id: int
    url: str
    stream: str | None
    auth: BasicAuth | None
    headers: tuple[Header, ...]
    triggers: Triggers

    def wants(self, stream: str | None, record_type: str) -> bool:
        return (self.stream is None or self.stream == stream) and self.triggers.wants(record_type)

    def request_headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "Postmark"}
        if self.auth is not None:
            pair = f"{self.auth.username}:{self.auth.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        return headers | {header.name: header.value for header in self.headers}


ALL_TRIGGERS: Final = Triggers(
    open=Enabled(enabled=True),
    click=Enabled(enabled=True),
    delivery=Enabled(enabled=True),
    bounce=Enabled(enabled=True),
    spam_complaint=Enabled(enabled=True),
    subscription_change=Enabled(enabled=True),
)


class Attempt(msgspec.Struct, frozen=True):
    """One attempt, as GET /_sandbox/webhooks shows it. If `status` is None there was no answer, and `error` says
    why.
    """

    record_type: str
    webhook_id: int
    number: int
    status: int | None
    error: str | None


class WebhookCounts(msgspec.Struct):
    delivered: int = 0
    retried: int = 0
    given_up: int = 0
    refused: int = 0
    dropped: int = 0


class WebhookSender:
    """Delivers events in separate tasks; at most PENDING_MAX wait at a time."""

    def __init__(self, retry_scale: float, timeout_s: float) -> None:
        self.retry_scale = retry_scale
        self.counts = WebhookCounts()
        self.attempts: deque[Attempt] = deque(maxlen=ATTEMPTS_SHOWN_MAX)
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    @property
    def room(self) -> int:
        return PENDING_MAX - len(self._tasks)

    def start(self) -> None:
        limits = httpx.Limits(max_connections=CONCURRENT_MAX, max_keepalive_connections=CONCURRENT_MAX)
        # trust_env off: events must not go through a proxy that is meant for the internet.
        self._client = httpx.AsyncClient(timeout=self._timeout_s, limits=limits, trust_env=False)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def reset(self, retry_scale: float) -> None:
        """Cancel waiting events, and clear counts and attempts."""
        self.retry_scale = retry_scale
        for task in self._tasks:
            task.cancel()
        self.counts = WebhookCounts()
        self.attempts.clear()

    def send(self, webhook: Webhook, payload: bytes, record_type: str, delay_s: float = 0.0) -> None:
        """Deliver one event after `delay_s`; the caller has checked `room`."""
        task = asyncio.create_task(self._deliver(webhook, payload, record_type, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, webhook: Webhook, payload: bytes, record_type: str, delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        for number, wait_s in enumerate((*RETRY_WAITS_S, None), 1):
            attempt = await self._try(webhook, payload, record_type, number)
            self.attempts.append(attempt)
            status = attempt.status
            if status is not None and 200 <= status < 300:  # noqa: PLR2004  HTTP's success class
                self.counts.delivered += 1
                return
            if status is not None and 400 <= status < 500 and status not in {408, 429}:  # noqa: PLR2004
                self.counts.refused += 1
                return
            if wait_s is None:
                self.counts.given_up += 1
                return
            self.counts.retried += 1
            await asyncio.sleep(wait_s * self.retry_scale)

    async def _try(self, webhook: Webhook, payload: bytes, record_type: str, number: int) -> Attempt:
        assert self._client is not None, "start was called"
        status, error = None, None
        async with self._slots:
            try:
                answer = await self._client.post(webhook.url, content=payload, headers=webhook.request_headers())
                status = answer.status_code
            except httpx.HTTPError as failed:
                error = type(failed).__name__
        return Attempt(record_type=record_type, webhook_id=webhook.id, number=number, status=status, error=error)


def webhook_row(webhook: Webhook) -> dict[str, Any]:
    """A webhook as the API shows it."""
    off = {"Enabled": False}
    triggers = {
        name: {key: value for key, value in one.items() if value is not None}
        for name, one in msgspec.to_builtins(webhook.triggers).items()
    }
    triggers["Open"] = {"PostFirstOpenOnly": False, **triggers.get("Open", off)}
    for name in ("Bounce", "SpamComplaint"):
        triggers[name] = {"IncludeContent": False, **triggers.get(name, off)}
    return {
        "ID": webhook.id,
        "Url": webhook.url,
        "MessageStream": webhook.stream or "outbound",
        "HttpAuth": webhook.auth,
        "HttpHeaders": webhook.headers,
        "Triggers": triggers,
    }
