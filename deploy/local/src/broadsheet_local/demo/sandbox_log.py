"""Reads the sandbox's log of accepted messages, page by page."""

import re
from collections.abc import AsyncIterator

import httpx
import msgspec

from broadsheet_local.demo.people import expect

PAGE_MESSAGES = 500
TIMEOUT_S = 30.0


class CapturedMail(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message, as far as the demo looks at it. `sequence` numbers them from 1."""

    sequence: int
    recipients: list[str]
    subject: str | None = None
    text_body: str | None = None


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
            params={"after": after, "limit": PAGE_MESSAGES, "bodies": "true" if bodies else "false"},
        )
        expect(answer, httpx.codes.OK, "reading the sandbox's log")
        return msgspec.json.decode(answer.content, type=_Page).messages

    async def recipients_of(self, subject: str) -> AsyncIterator[str]:
        """Every recipient of every message with this subject, repeated as often as it was sent."""
        after = 0
        while page := await self.page(after, bodies=False):
            after = page[-1].sequence
            for mail in page:
                if mail.subject == subject:
                    for recipient in mail.recipients:
                        yield recipient


def confirmation_link(mail: CapturedMail, public_url: str) -> str | None:
    """The link of a confirmation mail's text part; None for other mail."""
    pattern = re.escape(public_url) + r"/subscriptions/confirm\?subscription_token=[\w%.~-]+"
    found = re.search(pattern, mail.text_body or "")
    return None if found is None else found.group()
