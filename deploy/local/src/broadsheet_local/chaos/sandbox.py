"""The sandbox as scenarios use it: the faults that it is told to cause, and the log that is the oracle."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from broadsheet_local.demo.sandbox_log import PAGE_WITHOUT_BODIES, TIMEOUT_S

POLL_S = 0.1

Json = dict[str, Any]


class SentMessage(msgspec.Struct, frozen=True, rename="pascal"):
    subject: str | None = None
    metadata: dict[str, str] | None = None


class Accepted(msgspec.Struct, frozen=True):
    """One accepted message; `accepted_at` is ISO 8601 with an offset."""

    sequence: int
    message_id: str
    accepted_at: str
    stream: str
    recipients: list[str]
    message: SentMessage

    @property
    def accepted_unix_s(self) -> float:
        return datetime.fromisoformat(self.accepted_at).timestamp()


class _Page(msgspec.Struct, frozen=True):
    messages: list[Accepted]


class _Health(msgspec.Struct, frozen=True):
    messages: int


class Sandbox:
    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def messages(self) -> int:
        """How many messages were accepted so far, of all streams."""
        answer = await self._client.get("/_sandbox/health")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=_Health).messages

    async def accepted(self, *, after: int = 0, stream: str | None = None) -> AsyncIterator[Accepted]:
        while True:
            params: dict[str, str | int] = {"after": after, "limit": PAGE_WITHOUT_BODIES, "bodies": "false"}
            if stream is not None:
                params["stream"] = stream
            answer = await self._client.get("/_sandbox/messages", params=params)
            answer.raise_for_status()
            page = msgspec.json.decode(answer.content, type=_Page).messages
            if not page:
                return
            after = page[-1].sequence
            for message in page:
                yield message

    async def set_faults(self, *rules: Mapping[str, object], seed: int) -> None:
        answer = await self._client.put("/_sandbox/faults", json={"seed": seed, "rules": list(rules)})
        answer.raise_for_status()

    async def clear_faults(self) -> None:
        (await self._client.delete("/_sandbox/faults")).raise_for_status()

    async def fault_hits(self) -> dict[str, int]:
        """How often each named rule has fired."""
        answer = await self._client.get("/_sandbox/faults")
        answer.raise_for_status()
        return {state["rule"].get("name", ""): state["hits"] for state in answer.json()["rules"]}

    async def event(self, **fields: object) -> Json:
        answer = await self._client.post("/_sandbox/events", json=fields)
        answer.raise_for_status()
        sent: Json = answer.json()
        return sent

    async def webhooks(self) -> Json:
        answer = await self._client.get("/_sandbox/webhooks")
        answer.raise_for_status()
        shown: Json = answer.json()
        return shown

    async def until_more_than(self, count: int, *, timeout_s: float) -> float | None:
        """Seconds until there are more than `count` messages, or None when the time runs out."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s:
            if await self.messages() > count:
                return time.monotonic() - began
            await asyncio.sleep(POLL_S)
        return None
