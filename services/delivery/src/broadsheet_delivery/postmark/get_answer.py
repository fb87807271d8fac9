"""One GET of Postmark's API, bounded in time and in bytes, whatever answers."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from broadsheet_delivery.postmark.answer import HttpAnswer, UnusableAnswerError

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


async def get_from_postmark(
    client: httpx.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    params: Mapping[str, str | int] | None = None,
    bytes_max: int = ANSWER_BYTES_MAX,
) -> HttpAnswer:
    """The whole answer, of any status, from connect to last byte within `timeout_s`.

    Raises:
        UnusableAnswerError: there was no complete answer, or it is longer than `bytes_max`.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream("GET", url, params=params, headers=dict(headers)) as response,
        ):
            async for piece in response.aiter_bytes():
                total += len(piece)
                if total > bytes_max:
                    raise UnusableAnswerError(f"the answer is larger than {bytes_max} bytes")
                pieces.append(piece)
    except (httpx.HTTPError, TimeoutError) as error:
        raise UnusableAnswerError(f"no answer: {type(error).__name__}") from error
    return HttpAnswer(response.status_code, response.headers, b"".join(pieces))
