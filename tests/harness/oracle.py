"""What the sandbox accepted: the oracle of every test about sending, and the faults it is told to make."""

import uuid
from collections import Counter
from typing import Any

import httpx
import msgspec

from broadsheet_postmark_sandbox.testing import RunningSandbox

_PAGE = 1000
_PAGES_MAX = 200


class Captured(msgspec.Struct, frozen=True):
    """One accepted message. `has_html` is false where no HtmlBody was sent at all; `html` is empty then."""

    message_id: uuid.UUID
    stream: str
    from_: str
    reply_to: str | None
    to: str
    subject: str
    html: str
    has_html: bool
    text: str
    headers: dict[str, str]
    metadata: dict[str, str]


class Oracle:
    def __init__(self, sandbox: RunningSandbox | str) -> None:
        """A sandbox of this process, or the address of one."""
        self._base_url = sandbox if isinstance(sandbox, str) else sandbox.base_url

    def messages(self) -> list[Captured]:
        """Every accepted message, in order."""
        found: list[Captured] = []
        after = 0
        for _ in range(_PAGES_MAX):
            page = self._request("GET", "/_sandbox/messages", params={"after": after, "limit": _PAGE})["messages"]
            found += [_captured(item) for item in page]
            if len(page) < _PAGE:
                return found
            after = page[-1]["sequence"]
        raise AssertionError("more messages than a test makes")

    def sends(self) -> Counter[str]:
        """How often each address was sent to."""
        return Counter(message.to for message in self.messages())

    def fault(self, *rules: dict[str, Any], seed: int = 1) -> None:
        """Set these faults, in place of all others."""
        self._request("PUT", "/_sandbox/faults", json={"seed": seed, "rules": list(rules)})

    def heal(self) -> None:
        self._request("DELETE", "/_sandbox/faults")

    def reset(self) -> None:
        """Reset the sandbox, as if nothing had ever been sent."""
        self._request("POST", "/_sandbox/reset")

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        response = httpx.request(method, self._base_url + path, timeout=10, **arguments)
        assert response.is_success, response.text
        return response.json() if response.content else None


def _captured(item: dict[str, Any]) -> Captured:
    message = item["message"]
    return Captured(
        message_id=uuid.UUID(item["message_id"]),
        stream=item["stream"],
        from_=message["From"],
        reply_to=message.get("ReplyTo"),
        to=message["To"],
        subject=message["Subject"],
        html=message.get("HtmlBody", ""),
        has_html="HtmlBody" in message,
        text=message["TextBody"],
        headers={header["Name"]: header["Value"] for header in message.get("Headers") or []},
        metadata=message.get("Metadata") or {},
    )
