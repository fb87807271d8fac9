"""Reads the sandbox's log of accepted messages, page by page."""

import re
from collections.abc import AsyncIterator

import httpx
import msgspec

from broadsheet_local.demo.people import expect

PAGE_MESSAGES = 200
PAGE_WITHOUT_BODIES = 5_000
TIMEOUT_S = 30.0


class Message(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of Postmark's message that the demo looks at."""

    subject: str | None = None
    text_body: str | None = None


class CapturedMail(msgspec.Struct, frozen=True):
    """One accepted message; `sequence` numbers them from 1, recipients are in lower case."""

    sequence: int
    recipients: list[str]
    message: Message


class _Page(msgspec.Struct, frozen=True):
    messages: list[CapturedMail]


class SandboxLog:
    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def page(self, after: int, *, bodies: bool) -> list[CapturedMail]:
        """The next messages after this number, oldest first; empty when there are none yet."""
        answer = await self._client.get(
            "/_sandbox/messages",
            params={
                "after": after,
                "limit": PAGE_MESSAGES if bodies else PAGE_WITHOUT_BODIES,
                "bodies": "true" if bodies else "false",
            },
        )
        expect(answer, httpx.codes.OK, "reading the sandbox's log")
        return msgspec.json.decode(answer.content, type=_Page).messages

    async def recipients_of(self, subject: str) -> AsyncIterator[str]:
        """Every recipient of every message with this subject, repeated as often as it was sent."""
        after = 0
        while page := await self.page(after, bodies=False):
            after = page[-1].sequence
            for mail in page:
                if mail.message.subject == subject:
                    for recipient in mail.recipients:
                        yield recipient


def confirmation_link(mail: CapturedMail, public_url: str) -> str | None:
    """The link of a confirmation mail's text part; None for other mail."""
    pattern = re.escape(public_url) + r"/subscriptions/confirm\?subscription_token=[\w%.~-]+"
    found = re.search(pattern, mail.message.text_body or "")
    return None if found is None else found.group()
