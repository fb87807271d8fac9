"""What Postmark keeps about addresses: suppressions and bounces, read whole or not at all.

Source: Postmark's documentation, "Suppressions API" and "Bounce API". Every call is bounded in time and bytes.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.request_body import HeldBody, TooLateError, WritingCall, writing

ADDRESSES_A_CALL_MAX: Final = 50
BOUNCES_A_PAGE_MAX: Final = 500
_PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_REFUSAL_MAX: Final = 300


class RecordsUnavailableError(Exception):
    """Postmark gave no usable answer; nothing is known."""


class DumpRow(msgspec.Struct, frozen=True, rename="pascal"):
    """One suppression of a stream; `created_at` as Postmark writes it."""

    email_address: str
    suppression_reason: str
    origin: str
    created_at: str


class _Dump(msgspec.Struct, rename="pascal"):
    suppressions: list[DumpRow]


class BouncePage(msgspec.Struct, frozen=True, rename="pascal"):
    """Bounces, newest first; rows as Postmark shows them, with fields that may be missing."""

    total_count: int
    bounces: list[dict[str, Any]]


class _Details(msgspec.Struct, rename="pascal"):
    metadata: dict[str, str] | None = None


class ToldAddress(msgspec.Struct, frozen=True, rename="pascal"):
    """What became of one address: Suppressed, Deleted, or Failed with a reason."""

    email_address: str
    status: str
    message: str | None = None

    @property
    def refusal(self) -> str | None:
        return (self.message or "Postmark refused it.")[:_REFUSAL_MAX] if self.status == "Failed" else None


class _Told(msgspec.Struct, rename="pascal"):
    suppressions: list[ToldAddress]


class PostmarkRecords:
    """`call_timeout_s` bounds a whole call; `dump_bytes_max` the largest suppression dump that is read."""

    def __init__(
        self, client: httpx.AsyncClient, *, base_url: str, token: str, call_timeout_s: float, dump_bytes_max: int
    ) -> None:
        self._client = client
        self._base_url = base_url
        self._call_timeout_s = call_timeout_s
        self._dump_bytes_max = dump_bytes_max
        self._headers = {
            "X-Postmark-Server-Token": token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    async def suppression_dump(self, stream: str) -> list[DumpRow]:
        """All suppressions of a stream (`GET …/suppressions/dump`, unpaged). Raises RecordsUnavailableError."""
        answer: _Dump = await self._get(f"{_of_stream(stream)}/dump", {}, self._dump_bytes_max, _Dump)
        return answer.suppressions

    async def bounces(self, *, stream: str, offset: int) -> BouncePage:
        """One page of a stream's bounces. Raises RecordsUnavailableError."""
        query = {"count": BOUNCES_A_PAGE_MAX, "offset": offset, "messagestream": stream}
        page: BouncePage = await self._get("/bounces", query, _PAGE_BYTES_MAX, BouncePage)
        return page

    async def metadata_of(self, message_id: uuid.UUID) -> dict[str, str]:
        """The metadata that a message was sent with; empty when Postmark keeps it no longer or has none.

        Raises RecordsUnavailableError.
        """
        path = f"/messages/outbound/{message_id}/details"
        details: _Details | None = await self._get(path, {}, _PAGE_BYTES_MAX, _Details, missing_ok=True)
        return (details.metadata if details else None) or {}

    async def tell(self, *, stream: str, addresses: Sequence[str], suppress: bool, until_s: float) -> list[ToldAddress]:
        """Suppress up to 50 addresses, or delete their suppressions; answers in any order.

        Safe to repeat, but not to do later than another's change of the same addresses: the request is not completed
        from `until_s` on (`boot_time_s`). Raises RecordsUnavailableError.
        """
        path = _of_stream(stream) + ("" if suppress else "/delete")
        body = msgspec.json.encode({"Suppressions": [{"EmailAddress": address} for address in addresses]})
        call = WritingCall(until_s=until_s, clock_s=boot_time_s)
        held = HeldBody([body[:-1]], end=body[-1:], call=call)
        headers = self._headers | {"Content-Length": str(held.length_bytes)}
        try:
            with writing(call):
                async with asyncio.timeout(self._call_timeout_s):
                    response = await self._client.post(self._base_url + path, content=held, headers=headers)
        except (httpx.HTTPError, TimeoutError, TooLateError) as error:
            raise RecordsUnavailableError(type(error).__name__) from error
        if response.status_code != httpx.codes.OK:
            raise RecordsUnavailableError(f"status {response.status_code}")
        told: _Told = _decode(response.content, _Told)
        return told.suppressions

    async def _get(
        self, path: str, query: dict[str, Any], bytes_max: int, type_: Any, *, missing_ok: bool = False
    ) -> Any:
        pieces, total = [], 0
        try:
            async with (
                asyncio.timeout(self._call_timeout_s),
                self._client.stream("GET", self._base_url + path, params=query, headers=self._headers) as response,
            ):
                if missing_ok and response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
                    return None
                if response.status_code != httpx.codes.OK:
                    raise RecordsUnavailableError(f"status {response.status_code}")
                async for piece in response.aiter_bytes():
                    total += len(piece)
                    if total > bytes_max:
                        raise RecordsUnavailableError(f"the answer is larger than {bytes_max} bytes")
                    pieces.append(piece)
        except (httpx.HTTPError, TimeoutError) as error:
            raise RecordsUnavailableError(type(error).__name__) from error
        return _decode(b"".join(pieces), type_)


def _of_stream(stream: str) -> str:
    return f"/message-streams/{quote(stream, safe='')}/suppressions"


def _decode(content: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordsUnavailableError("unreadable answer") from error
