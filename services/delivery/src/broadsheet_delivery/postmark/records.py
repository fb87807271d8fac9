"""What Postmark keeps about addresses: suppressions and bounces, read whole or not at all.

Source: Postmark's documentation, "Suppressions API" and "Bounce API". Every call is bounded in time and bytes.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from broadsheet_delivery.postmark.answer import (
    BOUNCES_A_PAGE_MAX,
    BouncePage,
    DumpRow,
    HttpAnswer,
    ToldAddress,
    UnusableAnswerError,
    read_bounce_page,
    read_dump,
    read_metadata,
    read_told,
)
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.get_answer import ANSWER_BYTES_MAX, get_from_postmark
from broadsheet_delivery.postmark.request_body import HeldBody, TooLateError, WritingCall, writing

ADDRESSES_A_CALL_MAX: Final = 50
_DETAILS_TIMEOUT_S: Final = 10.0


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
        """All suppressions of a stream (`GET …/suppressions/dump`, unpaged). Raises UnusableAnswerError."""
        return read_dump(await self._get(f"{_of_stream(stream)}/dump", bytes_max=self._dump_bytes_max))

    async def bounces(self, *, stream: str, offset: int) -> BouncePage:
        """One page of a stream's bounces. Raises UnusableAnswerError."""
        query: dict[str, str | int] = {"count": BOUNCES_A_PAGE_MAX, "offset": offset, "messagestream": stream}
        return read_bounce_page(await self._get("/bounces", query), offset=offset)

    async def metadata_of(self, message_id: uuid.UUID) -> dict[str, str]:
        """The metadata that a message was sent with (`GET /messages/outbound/{id}/details`).

        Empty when Postmark keeps it no longer or has none. Raises UnusableAnswerError.
        """
        path = f"/messages/outbound/{message_id}/details"
        return read_metadata(await self._get(path, timeout_s=_DETAILS_TIMEOUT_S))

    async def tell(self, *, stream: str, addresses: Sequence[str], suppress: bool, until_s: float) -> list[ToldAddress]:
        """Suppress up to 50 addresses, or delete their suppressions; answers in any order.

        Safe to repeat, but not to do later than another's change of the same addresses: the request is not completed
        from `until_s` on (`boot_time_s`). Raises UnusableAnswerError.
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
            raise UnusableAnswerError(f"no answer: {type(error).__name__}") from error
        return read_told(HttpAnswer(response.status_code, response.headers, response.content))

    async def _get(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        bytes_max: int = ANSWER_BYTES_MAX,
        timeout_s: float | None = None,
    ) -> HttpAnswer:
        return await get_from_postmark(
            self._client,
            self._base_url + path,
            params=query,
            headers=self._headers,
            timeout_s=min(self._call_timeout_s, timeout_s or self._call_timeout_s),
            bytes_max=bytes_max,
        )


def _of_stream(stream: str) -> str:
    return f"/message-streams/{quote(stream, safe='')}/suppressions"
