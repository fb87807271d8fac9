"""The command `broadsheet-postmark-sandbox`."""

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

import structlog
import uvloop

from broadsheet_postmark_sandbox.app import create_app
from broadsheet_postmark_sandbox.server import CannotListenError, listen, make_server
from broadsheet_postmark_sandbox.settings import DEFAULT_TOKEN, SandboxSettings, UnsubscribeHandling

GC_THRESHOLD = 50_000
PORTS = 65_536

_HANDLING: dict[str, UnsubscribeHandling] = {"custom": "Custom", "postmark": "Postmark"}


def settings_from(arguments: list[str], environment: dict[str, str]) -> SandboxSettings:
    """Read flags and environment. If something is wrong, print a message and end the process."""
    parser = argparse.ArgumentParser(
        prog="broadsheet-postmark-sandbox",
        description="A strict local Postmark for development and tests: it speaks Postmark's API, keeps every "
        "message and sends none. The inbox is at /, the control API under /_sandbox.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8025, help="port to listen on; 0 takes a free one (default %(default)s)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that clients reach it by, repeatable; addresses and localhost need none",
    )
    parser.add_argument(
        "--token",
        help="the server token to accept; POSTMARK_SERVER_TOKEN in the environment does the same, and does not show "
        f"in the list of processes (default {DEFAULT_TOKEN})",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder for the mail (about 30 MB for a million similar mails, 10 GB for a million different ones); the "
        "file there has no name and ends with the process (default: the system's folder for temporary files)",
    )
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each answer (default %(default)s)")
    parser.add_argument(
        "--broadcast-unsubscribe",
        choices=sorted(_HANDLING),
        default="custom",
        help="who handles unsubscribing on the stream `broadcast`. Real Postmark's default is `postmark`, which "
        "adds its own link and headers; the default here is `custom`, because Broadsheet's newsletters carry "
        "their RFC 8058 headers themselves (default %(default)s)",
    )
    parser.add_argument(
        "--webhook-url",
        action="append",
        default=[],
        help="where events go, repeatable; basic authentication comes from the environment: "
        "POSTMARK_WEBHOOK_USER, POSTMARK_WEBHOOK_PASSWORD",
    )
    parser.add_argument(
        "--webhook-retry-scale",
        type=float,
        default=1.0,
        help="factor on Postmark's waits between attempts, which take 51 minutes in all (default %(default)s)",
    )
    parser.add_argument(
        "--automatic-delivery", action="store_true", help="send a Delivery event for every recipient automatically"
    )
    found = parser.parse_args(arguments)
    if environment.get("BROADSHEET_ENV", "").strip().lower() == "production":
        parser.error("refusing to start: BROADSHEET_ENV is production, and a sandbox sends no mail")
    if not 0 <= found.port < PORTS:
        parser.error(f"--port must be from 0 to {PORTS - 1}")
    if found.data_dir is not None:
        try:
            found.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as failed:
            parser.error(f"--data-dir {found.data_dir}: {failed.strerror}")
    if found.latency_ms < 0:
        parser.error("--latency-ms must not be negative")
    if found.webhook_retry_scale < 0:
        parser.error("--webhook-retry-scale must not be negative")
    return SandboxSettings(
        host=found.host,
        port=found.port,
        allowed_hosts=tuple(name.lower().rstrip(".") for name in found.allow_host),
        token=found.token or environment.get("POSTMARK_SERVER_TOKEN") or DEFAULT_TOKEN,
        data_dir=found.data_dir,
        latency_ms=found.latency_ms,
        broadcast_unsubscribe=_HANDLING[found.broadcast_unsubscribe],
        webhook_urls=tuple(found.webhook_url),
        webhook_retry_scale=found.webhook_retry_scale,
        automatic_delivery=found.automatic_delivery,
        webhook_user=environment.get("POSTMARK_WEBHOOK_USER") or None,
        webhook_password=environment.get("POSTMARK_WEBHOOK_PASSWORD") or None,
    )


def main() -> NoReturn:
    settings = settings_from(sys.argv[1:], dict(os.environ))
    try:
        listener = listen(settings.host, settings.port)
    except CannotListenError as failed:
        sys.exit(f"broadsheet-postmark-sandbox: {failed}")
    host, port = listener.getsockname()[:2]
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    server = make_server(create_app(settings))
    # Every batch makes a few thousand short-lived dictionaries. With the usual threshold the garbage collector runs
    # several times per batch and finds nothing, because no code here makes reference cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    print(f"Postmark sandbox on http://{host}:{port}/ (inbox and API)", file=sys.stderr, flush=True)  # noqa: T201
    uvloop.run(server.serve(sockets=[listener]))
    sys.exit(0)


if __name__ == "__main__":
    main()
