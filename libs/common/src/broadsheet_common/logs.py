"""Structured logs: JSON lines, or readable ones on a terminal, on standard error.

Every event name is a constant dotted string; values are ids, counts, durations. Addresses, tokens and query strings
never go in: httpx and httpcore, which log whole URLs at INFO, are raised to WARNING here.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor


def configure_logs(*, service: str, log_format: Literal["json", "console"], level: str) -> None:
    """Set structlog and the standard library's logging up for this process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    level_number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level_number, logging.INFO))
    for name in ("httpx", "httpcore", "sqlalchemy.engine", "sqlalchemy.pool", "aiohttp", "_granian"):
        logging.getLogger(name).setLevel(logging.WARNING)
