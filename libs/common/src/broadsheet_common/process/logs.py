"""Structured logs on standard error: JSON lines, or readable text for a terminal.

Every event name is a constant dotted string; values are ids, counts, durations. Addresses, tokens and query
strings are never logged: tracebacks come without local variables; text from elsewhere (exception messages,
libraries' log lines) is redacted; and httpx and httpcore, which log whole URLs at INFO, are raised to WARNING.

Logging never raises into the work: a line that cannot be made or written is counted and dropped (`log_output`).
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from broadsheet_common.process.log_output import LogOutput, count_lost_line, open_output
from broadsheet_common.process.redaction import redact
from broadsheet_common.process.tracing import add_trace

_QUIET_LOGGERS = ("httpx", "httpcore", "sqlalchemy.engine", "sqlalchemy.pool", "aiohttp")


def _redact_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Redact the messages of exceptions, including chained ones and groups; frames stay unchanged."""

    def walk(exceptions: list[dict[str, Any]]) -> None:
        for exception in exceptions:
            exception["exc_value"] = redact(str(exception.get("exc_value", "")))
            exception["exc_notes"] = [redact(str(note)) for note in exception.get("exc_notes", [])]
            for group in exception.get("exceptions", []):
                walk(group)

    if isinstance(event.get("exception"), list):
        walk(event["exception"])
    elif isinstance(event.get("exception"), str):
        event["exception"] = redact(event["exception"])
    return event


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event["event"] = redact(str(event["event"]))
    return event


def _encode(event: EventDict, default: Callable[[Any], Any]) -> str:
    """JSON. The standard library's takes three times as long, but takes what is no valid text too."""
    try:
        return msgspec.json.encode(event, enc_hook=default).decode()
    except (TypeError, ValueError, NotImplementedError):
        return json.dumps(event, default=default)


def _never_raising(bound_logger: type[Any]) -> type[Any]:
    """A logger whose processors may fail: an event that cannot be rendered is written with its name only."""

    class NeverRaisingLogger(bound_logger):  # type: ignore[misc]  # made for a level, at run time
        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **kwargs: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  # every error is counted and logged; the work goes on
                _write_bare(self._logger, str(event), method_name, error)

    return NeverRaisingLogger


def _write_bare(logger: Any, event: str, level: str, error: Exception) -> None:
    count_lost_line()
    try:
        line = {"event": redact(event), "level": level, "log_error": type(error).__name__}
        logger.msg(msgspec.json.encode(line).decode())
    except Exception:  # noqa: BLE001  # already counted
        return


class _NeverRaisingHandler(logging.Handler):
    """Handles the log records of libraries. The standard handlers let RecursionError through, and print records that
    they cannot write.
    """

    def __init__(self, output: LogOutput) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # every error is counted; the library goes on
            count_lost_line()
        else:
            self._output.msg(line)


def configure_logs(*, service: str, log_format: Literal["json", "console"], level: str) -> None:
    """Set structlog and the standard library's logging up for this process."""
    output = open_output()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _redact_exception,
            structlog.processors.JSONRenderer(serializer=_encode),
        ]
        if log_format == "json"
        else [
            structlog.processors.format_exc_info,
            _redact_exception,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    )
    level_number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(level_number)),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.raiseExceptions = False
    handler = _NeverRaisingHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _redact_event],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level_number, logging.INFO))
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
