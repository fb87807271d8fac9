"""The newest state of an event stream, for a page that shows it; the page's script then watches the same stream."""

import asyncio
from typing import Final, TypeVar

import msgspec
import structlog

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.event_streams.messages import EVENT_STREAM_MEDIA_TYPE
from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.forwarding.forward_stream import MESSAGE_MAX_BYTES, is_event_stream
from broadsheet_gateway.forwarding.transport import TransportError, UpstreamAnswer
from broadsheet_gateway.forwarding.upstreams import Upstreams, as_problem

FIRST_EVENT_TIMEOUT_S: Final = 5.0
_DATA: Final = b"data: "

T = TypeVar("T")

_log = structlog.get_logger()


async def ask_first_event(upstreams: Upstreams, session: Session, service: ServiceName, path: str, event: type[T]) -> T:
    """The data of the first event, which is complete; then the stream is closed.

    Raises:
        UnavailableError, UpstreamTimeoutError: there is no stream, or it did not begin in time.
    """
    try:
        async with (
            asyncio.timeout(FIRST_EVENT_TIMEOUT_S),
            upstreams.send(
                service,
                identity=session.identity,
                method="GET",
                target=path,
                headers={"accept": EVENT_STREAM_MEDIA_TYPE},
                body=b"",
                is_stream=True,
            ) as answer,
        ):
            if not is_event_stream(answer):
                _log.warning("upstream.no_stream", upstream=service, status=answer.status)
                raise UnavailableError
            return msgspec.json.decode(await _first_data(answer), type=event)
    except (TransportError, TimeoutError) as error:
        raise as_problem(error, service) from error
    except msgspec.DecodeError as error:
        _log.error("upstream.answer_not_understood", upstream=service, error=str(error))
        raise UnavailableError from error


async def _first_data(answer: UpstreamAnswer) -> bytes:
    """Our services put the whole data of an event on one line. Raises `UnavailableError` if the stream has none."""
    kept = b""
    async for piece in answer.pieces():
        *lines, kept = (kept + piece).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                return line.removeprefix(_DATA)
        if len(kept) > MESSAGE_MAX_BYTES:
            break
    _log.warning("upstream.stream_without_event")
    raise UnavailableError
