"""`broadsheet-local`: up, demo, bench, chaos, check-migrations, check-api."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from email.utils import parseaddr
from pathlib import Path
from typing import Protocol, assert_never
from urllib.parse import urlsplit

from broadsheet_local.arguments import add_output_options, whole_number
from broadsheet_local.bench.arguments import add_bench_parser
from broadsheet_local.default_newsletter import NAME_CHARS_MAX, POSTAL_ADDRESS_CHARS_MAX
from broadsheet_local.environment import Provider
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.interrupts import Finished, Interrupted, Interrupts, exit_code_of
from broadsheet_local.system import LocalSystem, Options
from broadsheet_local.up import run_up

REPLICAS_MAX = 32
SUBSCRIBERS_MAX = 1_000_000
LATENCY_MAX_MS = 60_000
PORT_MAX = 65_535
SEEDS_MAX = 10_000
SEED_MAX = 1_000_000_000
JOBS_MAX = 64
"""A process ended by signal n is reported as 128 + n, as shells do."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Exit: 0 well, 1 a failure that is explained on standard error, 2 wrong usage."""
    parsed = parser().parse_args(arguments)
    try:
        match parsed.command:
            case "up":
                code = up(parsed)
            case "demo":
                code = demo(parsed)
            case "bench":
                code = bench(parsed)
            case "chaos":
                code = chaos(parsed)
            case "check-api":
                code = check_api(parsed)
            case _:
                code = check(parsed)
    except LaunchError as error:
        sys.stderr.write(f"broadsheet: {error}\n")
        code = 1
    sys.exit(code)


def say(text: str) -> None:
    sys.stderr.write(f"broadsheet: {text}\n")
    sys.stderr.flush()


def up(parsed: argparse.Namespace) -> int:
    system = LocalSystem(
        Options(
            data_dir=parsed.data_dir,
            replicas=parsed.replicas,
            gateway_port=parsed.gateway_port,
            sandbox_port=parsed.sandbox_port,
            postgres_port=parsed.postgres_port,
            latency_ms=parsed.latency_ms,
            public_url=parsed.public_url,
            postmark=postmark(parsed.postmark_url, os.environ),
            newsletter_name=parsed.newsletter_name,
            mail_from=parsed.mail_from,
            postal_address=parsed.postal_address,
            canary_address=parsed.canary_address,
        ),
        say,
    )
    if parsed.postmark_url is not None:
        say_what_a_real_postmark_needs(parsed, os.environ)
    outcome = interruptible(
        system, lambda: run_up(system, say, as_json=parsed.json), stop_with_parent=parsed.stop_with_parent
    )
    match outcome:
        case Finished(exit_code):
            return exit_code
        case Interrupted(reason):
            say(f"stopped ({reason})")
            return 0
        case _:
            assert_never(outcome)


def check(_: argparse.Namespace) -> int:
    from broadsheet_local.check_migrations import check_migrations  # noqa: PLC0415 - see demo

    return check_migrations(say)


def check_api(parsed: argparse.Namespace) -> int:
    from broadsheet_local.api_contract.check_api import check_api as run_check  # noqa: PLC0415 - see demo

    return run_check(say, folder=parsed.folder, release=parsed.release)


def demo(parsed: argparse.Namespace) -> int:
    # Imported here, because the demo's imports would slow the start of `up`.
    from broadsheet_local.demo.run import DemoOptions, run_demo  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="broadsheet-demo-"))
    options = DemoOptions(
        subscribers=parsed.subscribers,
        replicas=parsed.replicas,
        latency_ms=parsed.latency_ms,
        as_json=parsed.json,
    )
    system = LocalSystem(
        Options(
            data_dir=folder,
            replicas=parsed.replicas,
            latency_ms=parsed.latency_ms,
            newsletter_name=parsed.newsletter_name,
            mail_from=parsed.mail_from,
            postal_address=parsed.postal_address,
        ),
        say,
    )
    outcome = interruptible(system, lambda: run_demo(system, options, say), stop_with_parent=parsed.stop_with_parent)
    if isinstance(outcome, Interrupted):
        shutil.rmtree(folder)
    return exit_code_of(outcome, what="the demo", say=say)


def bench(parsed: argparse.Namespace) -> int:
    from broadsheet_local.bench.command import bench as run_bench  # noqa: PLC0415 - see demo

    return run_bench(parsed, say)


def chaos(parsed: argparse.Namespace) -> int:
    from broadsheet_local.chaos.command import chosen_options  # noqa: PLC0415 - see demo
    from broadsheet_local.chaos.run import ChaosRun  # noqa: PLC0415 - see demo

    run = ChaosRun(chosen_options(parsed), say)
    outcome = interruptible(run, run.run, stop_with_parent=parsed.stop_with_parent)
    return exit_code_of(outcome, what="chaos", say=say)


class Killable(Protocol):
    def kill(self) -> None: ...


def interruptible(
    system: Killable, work: Callable[[], Coroutine[None, None, int]], *, stop_with_parent: bool
) -> Finished | Interrupted:
    return Interrupts(on_second=system.kill, stop_with_parent=stop_with_parent).run(work)


def say_what_a_real_postmark_needs(parsed: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Raises LaunchError without a sender: Postmark takes mail from confirmed senders only."""
    if parsed.mail_from is None and not environ.get("MAIL_FROM"):
        raise LaunchError(
            "--postmark-url needs --mail-from 'Name <address>', with an address that Postmark has confirmed as a sender"
        )
    if parsed.canary_address is None and not environ.get("DELIVERY_CANARY_ADDRESS"):
        say(
            "no --canary-address is given. When the answer to a call is lost, Broadsheet looks in Postmark's message "
            "search, and treats a mail as not sent only once the search shows a later mail of ours. With a canary "
            "address it sends such a mail when there is none. Without one, deliveries of the last calls before a quiet "
            "time may stay `uncertain` until somebody decides about them; nothing is sent twice either way"
        )


def postmark(url: str | None, environ: Mapping[str, str]) -> Provider | None:
    if url is None:
        return None
    token = environ.get("POSTMARK_SERVER_TOKEN")
    if not token and (path := environ.get("POSTMARK_SERVER_TOKEN_FILE")):
        try:
            token = Path(path).read_text().strip()
        except OSError as error:
            raise LaunchError(f"POSTMARK_SERVER_TOKEN_FILE: {error}") from error
    if not token:
        raise LaunchError("--postmark-url needs POSTMARK_SERVER_TOKEN in the environment")
    return Provider(base_url=url.rstrip("/"), server_token=token, is_sandbox=False)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="broadsheet-local", description="Broadsheet on one machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    up_parser = commands.add_parser(
        "up",
        help="everything on embedded Postgres, Redis and sandbox, until Ctrl-C",
        description="Starts every service on an embedded Postgres, Redis and Postmark sandbox, all on loopback, "
        "and runs until Ctrl-C or SIGTERM.",
    )
    add_common(up_parser, replicas=1, latency_ms=0)
    up_parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(".data"),
        metavar="D",
        help="where everything is kept between runs (default: .data)",
    )
    up_parser.add_argument(
        "--postmark-url",
        type=http_url,
        metavar="U",
        help="send through this Postmark, with POSTMARK_SERVER_TOKEN from the environment, and start no sandbox",
    )
    up_parser.add_argument(
        "--canary-address",
        type=mail_address,
        metavar="A",
        help="a mailbox of yours that gets a short mail when Broadsheet must know whether Postmark's search is up "
        "to date (see docs/guarantee.md); the sandbox has one already",
    )
    up_parser.add_argument(
        "--public-url",
        type=http_url,
        metavar="U",
        help="the address people reach the gateway at, for links in mail (default: the gateway's own)",
    )
    port = whole_number(1, PORT_MAX)
    up_parser.add_argument(
        "--gateway-port", type=port, metavar="P", help="use exactly this port (default: 8081, or a free one)"
    )
    up_parser.add_argument(
        "--sandbox-port", type=port, metavar="P", help="use exactly this port (default: 8025, or a free one)"
    )
    up_parser.add_argument(
        "--postgres-port", type=port, metavar="P", help="use exactly this port (default: 54329, or a free one)"
    )

    demo_parser = commands.add_parser(
        "demo",
        help="one issue from sign-up to delivery, with a report at the end",
        description="In a fresh temporary folder: people sign up and confirm through the public pages, the author "
        "publishes an issue, and every recipient is checked against the sandbox's log. Exits 0 only when nobody "
        "is missing and nobody got it twice.",
    )
    add_common(demo_parser, replicas=2, latency_ms=50)
    demo_parser.add_argument(
        "--subscribers",
        type=whole_number(1, SUBSCRIBERS_MAX),
        default=1000,
        metavar="N",
        help="how many people (default: 1000; those above 5000 are imported in bulk)",
    )

    add_bench_parser(commands.add_parser)
    chaos_parser = commands.add_parser(
        "chaos",
        help="every fault of the fault table as a seeded scenario, checked against the sandbox's log",
        description="Causes faults in real processes: kills senders and stores, breaks connections, lets the "
        "provider fail. Exits 0 only when nobody was lost, nobody got an issue twice, nothing stayed unsettled and "
        "every recovery kept its bound. Leases, time-outs and floors are shortened; the run prints the values.",
    )
    chaos_parser.add_argument(
        "--seeds", type=whole_number(1, SEEDS_MAX), default=20, metavar="N", help="seeds for each fault (default: 20)"
    )
    chaos_parser.add_argument(
        "--seed-from", type=whole_number(0, SEED_MAX), default=1, metavar="K", help="the first seed (default: 1)"
    )
    chaos_parser.add_argument(
        "--fault", action="append", metavar="NAME", help="only this fault, repeatable; `list` shows the names"
    )
    chaos_parser.add_argument(
        "--jobs",
        type=whole_number(1, JOBS_MAX),
        metavar="J",
        help="complete set-ups run in parallel, about 700 MB each (default: two a core, at most 8)",
    )
    chaos_parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the timelines and logs of scenarios that held, too, and print where they are",
    )
    add_output_options(chaos_parser)

    commands.add_parser(
        "check-migrations",
        help="run, compare and lint the migrations",
        description="Runs the migrations on an empty embedded Postgres, compares the result with the services' "
        "tables, and lints the SQL with squawk.",
    )
    api_parser = commands.add_parser(
        "check-api",
        help="check the API document, and what would break its clients",
        description="Makes the API document of all services, checks it against OpenAPI 3.1 and our own rules, and "
        "compares it with the released copy: a change that breaks clients must be declared beside it.",
    )
    api_parser.add_argument(
        "--folder",
        type=Path,
        default=Path("docs/api"),
        metavar="D",
        help="where the released copy and the declared changes are (default: docs/api)",
    )
    api_parser.add_argument("--release", action="store_true", help="write the document over the released copy")
    return top


def add_common(command: argparse.ArgumentParser, *, replicas: int, latency_ms: int) -> None:
    command.add_argument(
        "--replicas",
        type=whole_number(1, REPLICAS_MAX),
        default=replicas,
        metavar="R",
        help=f"delivery processes (default: {replicas})",
    )
    command.add_argument(
        "--latency-ms",
        type=whole_number(0, LATENCY_MAX_MS),
        default=latency_ms,
        metavar="L",
        help=f"how long the sandbox takes to answer a call (default: {latency_ms})",
    )
    command.add_argument(
        "--newsletter-name",
        type=newsletter_name,
        metavar="N",
        help="the newsletter's name, on the pages and in mails (kept between runs; default at first: Newsletter)",
    )
    command.add_argument(
        "--mail-from",
        type=sender,
        metavar="S",
        help="the sender of all mail, as 'Name <address>' (kept between runs)",
    )
    command.add_argument(
        "--postal-address",
        type=postal_address,
        metavar="P",
        help="the newsletter's postal address, in each of its mails (kept between runs; with the sandbox, a sample)",
    )
    add_output_options(command)


def newsletter_name(raw: str) -> str:
    name = raw.strip()
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise argparse.ArgumentTypeError(f"a name has 1 to {NAME_CHARS_MAX} printable characters")
    return name


def postal_address(raw: str) -> str:
    address = raw.strip()
    if not 1 <= len(address) <= POSTAL_ADDRESS_CHARS_MAX or not address.isprintable():
        raise argparse.ArgumentTypeError(f"a postal address has 1 to {POSTAL_ADDRESS_CHARS_MAX} printable characters")
    return address


def sender(raw: str) -> str:
    address = parseaddr(raw)[1]
    if not raw.isprintable() or not address:
        raise argparse.ArgumentTypeError(f"{raw!r} is not a sender, as in 'Name <address>'")
    mail_address(address)
    return raw


def mail_address(raw: str) -> str:
    from broadsheet_common.mail.email_address import EmailAddress  # noqa: PLC0415 - see demo

    try:
        return EmailAddress.parse(raw)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{raw!r} is not an e-mail address: {error}") from error


def http_url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{raw!r} is not an http(s) address")
    return raw


if __name__ == "__main__":
    main()
