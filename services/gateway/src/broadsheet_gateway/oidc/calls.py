"""Calls to the provider: bounded in time, size and number, and never sent on elsewhere by a redirect."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec
import structlog

from broadsheet_gateway.oidc.faults import ProviderFault

ANSWER_MAX_BYTES: Final = 512 * 1024
CALLS_AT_ONCE_MAX: Final = 10
_OK: Final = 200
_SERVER_ERRORS_FROM: Final = 500

_log = structlog.get_logger()


class ProviderCalls:
    """`timeout_s`: of a whole call, the wait for a free connection included."""

    def __init__(self, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=CALLS_AT_ONCE_MAX, max_keepalive_connections=2),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            transport=transport,
        )

    async def get(self, url: str) -> dict[str, Any]:
        """The JSON object that is there.

        Raises:
            ProviderFault: no answer, none of 200, none that is an object, or too large a one.
        """
        status, body = await self._call("GET", url, form=None, headers={})
        if status != _OK:
            _log.warning("oidc.call_refused", status=status)
            raise ProviderFault("provider_unreachable")
        return _object(body)

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any] | None:
        """The JSON object of the answer; None: the request was refused (4xx).

        Raises:
            ProviderFault: as for `get`.
        """
        status, body = await self._call("POST", url, form=form, headers=headers)
        if status == _OK:
            return _object(body)
        _log.warning("oidc.call_refused", status=status)
        if 400 <= status < _SERVER_ERRORS_FROM:  # noqa: PLR2004  # where refusals begin
            return None
        raise ProviderFault("provider_unreachable")

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _call(
        self, method: str, url: str, *, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(method, url, data=form, headers=headers) as answer,
            ):
                # As it came: a small answer must not unpack into a large one.
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > ANSWER_MAX_BYTES:
                        raise ProviderFault("provider_answer_too_large")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            _log.warning("oidc.call_failed", error=type(error).__name__)
            raise ProviderFault("provider_unreachable") from error
        return answer.status_code, bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProviderFault("provider_answer_malformed") from error
