"""Request id and W3C trace context: one pair per request, carried from the gateway to services and through the
queue.

The current pair lives in a context variable, and `add_trace` puts it on every log line. `traceparent` is parsed and
written as in W3C Trace Context level 1 (https://www.w3.org/TR/trace-context/); a malformed one starts a new trace.
"""

import random
import re
from contextvars import ContextVar

import msgspec
from structlog.typing import EventDict, WrappedLogger

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TraceContext(msgspec.Struct, frozen=True):
    """The trace that a piece of work belongs to: 32-hex trace id, 16-hex span id, 2-hex flags, and the request id."""

    trace_id: str
    span_id: str
    flags: str
    request_id: str

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self) -> "TraceContext":
        """The same trace with a new span, to be sent to the next service."""
        return msgspec.structs.replace(self, span_id=_random_hex(8))


_current: ContextVar[TraceContext | None] = ContextVar("broadsheet_trace", default=None)


def start_trace(traceparent: str | None, request_id: str | None) -> TraceContext:
    """Continue the given trace in a new span, or start one when none (or a malformed one) is given."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match and match[1] != "0" * 32 and match[2] != "0" * 16:
        trace_id, flags = match[1], match[3]
    else:
        trace_id, flags = _random_hex(16), "01"
    if not request_id or not _REQUEST_ID.fullmatch(request_id):
        request_id = _random_hex(16)
    return TraceContext(trace_id=trace_id, span_id=_random_hex(8), flags=flags, request_id=request_id)


def _random_hex(size_bytes: int) -> str:
    """Not secret: it names a request. Asking the system for random bytes four times a request takes longer."""
    return f"{random.getrandbits(8 * size_bytes):0{2 * size_bytes}x}"


def enter_trace(trace: TraceContext) -> None:
    """Make `trace` the current one for this task, and for its log lines."""
    _current.set(trace)


def add_trace(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """A structlog processor: the ids of the task's trace, if there is one. Binding them to structlog's own context for
    each request takes longer than most of what else is done for it.
    """
    trace = _current.get()
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("span_id", trace.span_id)
        event.setdefault("request_id", trace.request_id)
    return event


def current_trace() -> TraceContext:
    """The task's trace; a new one is started if there is none (background work)."""
    trace = _current.get()
    if trace is None:
        trace = start_trace(None, None)
        enter_trace(trace)
    return trace


def outgoing_headers() -> dict[str, str]:
    """The headers that carry the current trace to the next service."""
    trace = current_trace()
    return {"traceparent": trace.child().traceparent, "x-request-id": trace.request_id}
