"""The sandbox as the benchmark's oracle: what it accepted, and when; never our own tables."""

from datetime import datetime

import httpx
import msgspec

from broadsheet_local.demo.people import expect
from broadsheet_local.errors import LaunchError

TIMEOUT_S = 60.0
"""A summary of a million messages takes seconds."""
LAST_PAGE = 2_000
PAGE_WITHOUT_BODIES = 10_000

NEWSLETTER_STREAM = "broadcast"
TRANSACTIONAL_STREAM = "outbound"


class Acceptance(msgspec.Struct, frozen=True):
    """One message; the time is this machine's clock."""

    sequence: int
    accepted_at: datetime
    stream: str
    recipients: list[str]

    @property
    def epoch_s(self) -> float:
        return self.accepted_at.timestamp()


class _Page(msgspec.Struct, frozen=True):
    messages: list[Acceptance]
    total: int


class _Health(msgspec.Struct, frozen=True):
    messages: int


class Summary(msgspec.Struct, frozen=True):
    """`messages` beyond `recipients` were sent twice."""

    messages: int
    recipients: int

    @property
    def duplicates(self) -> int:
        return self.messages - self.recipients


class Oracle:
    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def forget(self) -> None:
        """Begin with an empty log."""
        answer = await self._client.delete("/_sandbox/messages")
        expect(answer, httpx.codes.OK, "emptying the sandbox's log")

    async def accepted_count(self) -> int:
        """Messages on every stream; cheap enough to ask often."""
        answer = await self._client.get("/_sandbox/health")
        expect(answer, httpx.codes.OK, "asking the sandbox")
        return msgspec.json.decode(answer.content, type=_Health).messages

    async def summary(self, stream: str) -> Summary:
        answer = await self._client.get("/_sandbox/summary", params={"stream": stream, "duplicates_limit": 0})
        expect(answer, httpx.codes.OK, "reading the sandbox's summary")
        return msgspec.json.decode(answer.content, type=Summary)

    async def first_and_last(self, stream: str) -> tuple[float, float]:
        """When the first and the last message of the stream were accepted, in seconds since 1970."""
        head = await self._page(stream, after=0, limit=1)
        tail = await self._page(stream, after=max(0, head.total - LAST_PAGE), limit=LAST_PAGE)
        if not head.messages or not tail.messages:
            raise LaunchError(f"the sandbox has no message of the stream {stream} where the run's last one is expected")
        return head.messages[0].epoch_s, max(message.epoch_s for message in tail.messages)

    async def accepted_at(self, stream: str) -> dict[str, float]:
        """Recipient to the first acceptance on the stream, in seconds since 1970."""
        found: dict[str, float] = {}
        after = 0
        while (page := await self._page(stream, after=after, limit=PAGE_WITHOUT_BODIES)).messages:
            after = page.messages[-1].sequence
            for message in page.messages:
                found.setdefault(message.recipients[0], message.epoch_s)
        return found

    async def _page(self, stream: str, *, after: int, limit: int) -> _Page:
        answer = await self._client.get(
            "/_sandbox/messages", params={"stream": stream, "after": after, "limit": limit, "bodies": "false"}
        )
        expect(answer, httpx.codes.OK, "reading the sandbox's log")
        return msgspec.json.decode(answer.content, type=_Page)
