"""The command line of `bench`: light, because `up` and `demo` read it too."""

import argparse
from collections.abc import Callable
from typing import Protocol

from broadsheet_local.arguments import add_output_options, whole_number

RECIPIENTS_MAX = 1_000_000
REPLICAS_MAX = 32
LATENCY_MAX_MS = 8_000
"""Below the time-out that local services have for a call (10 s)."""
BODY_MAX_KB = 1_000
CALLS_MAX = 64
IMPORT_ROWS_MAX = 10_000_000
CLAIM_ROUNDS_MAX = 10_000
SUBSCRIBERS_MAX = 5_000_000
REQUESTS_MAX = 10_000
EVENTS_MAX = 10_000_000
COUNTS_MAX = 1_000
SIGN_UPS_MAX = 10_000
ROUNDS_MAX = 100
ARCHIVE_SECONDS_MAX = 600
SAVE_KB_MAX = 4_800
SAVES_MAX = 10_000
GATEWAY_SECONDS_MAX = 120
GATEWAY_LOADS = ("sign_up", "read", "list", "archive", "one_click", "webhook", "overload")


class AddParser(Protocol):
    """`add_parser` of a group of sub-commands."""

    def __call__(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...  # noqa: A002


def add_bench_parser(add_parser: AddParser) -> None:
    """All that `bench` measures."""
    bench = add_parser(
        "bench",
        help="measure mails a second on this machine, compared with a plain pipeline",
        description="Measures in a fresh temporary folder, removes it, and ends with one JSON line if asked to.",
    )
    kinds = bench.add_subparsers(dest="kind", required=True, metavar="kind")

    delivery = kinds.add_parser(
        "delivery",
        help="from publishing to the last acceptance, compared with a plain pipeline and the original's way",
        description="Publishes one issue through the gateway and measures until the sandbox accepts the last mail.",
    )
    _add_size(delivery, recipients=100_000, latency_ms=100)
    delivery.add_argument(
        "--replicas", type=whole_number(1, REPLICAS_MAX), default=2, metavar="R", help="delivery processes (default: 2)"
    )
    delivery.add_argument(
        "--calls",
        type=whole_number(1, CALLS_MAX),
        default=4,
        metavar="C",
        help="batch calls that each process makes at once (default: 4)",
    )
    delivery.add_argument(
        "--pinned-xmin",
        action="store_true",
        help="send a second issue while another session holds a transaction open, and compare the two",
    )
    delivery.add_argument(
        "--sign-ups",
        action="store_true",
        help="people sign up meanwhile: how soon is their confirmation mail accepted?",
    )
    delivery.add_argument(
        "--alone", action="store_true", help="skip the plain pipeline and the original's way, for profiling"
    )

    scaling = kinds.add_parser(
        "scaling",
        help="the same with different numbers of replicas, which mostly wait for the provider",
        description="One run for each number of replicas, with a latency that leaves the processor idle.",
    )
    _add_size(scaling, recipients=48_000, latency_ms=4_000)
    scaling.add_argument(
        "--replicas",
        type=_numbers(whole_number(1, REPLICAS_MAX)),
        default=(1, 2, 4),
        metavar="R,R,…",
        help="numbers of delivery processes to compare; the first is the reference (default: 1,2,4)",
    )

    claim = kinds.add_parser(
        "claim",
        help="how long a claim takes in a short and in a long queue",
        description="Times the delivery service's own claim, alone, in a queue of two lengths.",
    )
    claim.add_argument(
        "--recipients",
        type=whole_number(20_000, RECIPIENTS_MAX),
        default=1_000_000,
        metavar="N",
        help="deliveries in the long queue (default: 1000000); the short one has 10000",
    )
    claim.add_argument(
        "--claims",
        type=whole_number(20, CLAIM_ROUNDS_MAX),
        default=1_000,
        metavar="C",
        help="claims timed in each (default: 1000)",
    )

    imports = kinds.add_parser(
        "import",
        help="rows of a file validated and stored a second",
        description="Uploads one CSV file of people through the gateway, measures from the job's start to its end, and "
        "exports them again.",
    )
    imports.add_argument(
        "--rows",
        type=whole_number(1_000, IMPORT_ROWS_MAX),
        default=1_000_000,
        metavar="N",
        help="rows of the file, every hundredth of them bad (default: 1000000)",
    )

    subscribers = kinds.add_parser(
        "subscribers",
        help="pages, searches and segment counts of a long list",
        description="Times requests to the subscriptions service, alone, and compares every answer with arithmetic.",
    )
    subscribers.add_argument(
        "--subscribers",
        type=whole_number(2_000, SUBSCRIBERS_MAX),
        default=1_000_000,
        metavar="N",
        help="subscribers in the list (default: 1000000)",
    )
    subscribers.add_argument(
        "--requests",
        type=whole_number(10, REQUESTS_MAX),
        default=200,
        metavar="R",
        help="pages of each kind, each followed by the next one (default: 200)",
    )
    subscribers.add_argument(
        "--counts",
        type=whole_number(1, COUNTS_MAX),
        default=10,
        metavar="C",
        help="counts of each segment (default: 10)",
    )

    reports = kinds.add_parser(
        "reports",
        help="rolling up events, the time of a report's request, and what rolling up costs sending",
        description="Rolls up the events of one issue and asks for its report, and compares the sending rate with the "
        "roll-up halted and at work.",
    )
    reports.add_argument(
        "--recipients",
        type=whole_number(1_000, RECIPIENTS_MAX),
        default=1_000_000,
        metavar="N",
        help="recipients of the issue (default: 1000000)",
    )
    reports.add_argument(
        "--events",
        type=whole_number(1_000, EVENTS_MAX),
        default=3_000_000,
        metavar="E",
        help="events about it, at most (default: 3000000)",
    )
    reports.add_argument(
        "--requests",
        type=whole_number(10, REQUESTS_MAX),
        default=300,
        metavar="R",
        help="requests of each kind (default: 300)",
    )
    reports.add_argument(
        "--sent",
        type=whole_number(0, RECIPIENTS_MAX),
        default=200_000,
        metavar="S",
        help="mails of each of the runs that measure what it costs sending; 0: none of them (default: 200000)",
    )

    sign_ups = kinds.add_parser(
        "sign-up",
        help="the timing side channel of the sign-up form: does the response time depend on an address's state?",
        description="Signs addresses up one after another through the gateway's form: unknown, pending, confirmed, "
        "unsubscribed and suppressed ones in random order.",
    )
    sign_ups.add_argument(
        "--a-state",
        type=whole_number(10, SIGN_UPS_MAX),
        default=500,
        metavar="N",
        help="sign-ups of each state (default: 500)",
    )

    render = kinds.add_parser(
        "render",
        help="mails that one core renders a second",
        description="Renders an issue for one reader after another, alone: no database, no network.",
    )
    _add_body(render)
    render.add_argument(
        "--mails",
        type=whole_number(100, RECIPIENTS_MAX),
        default=50_000,
        metavar="N",
        help="mails of each round (default: 50000)",
    )
    render.add_argument(
        "--rounds",
        type=whole_number(1, ROUNDS_MAX),
        default=5,
        metavar="R",
        help="rounds, of which the best counts (default: 5)",
    )
    archive = kinds.add_parser(
        "archive",
        help="pages of a sent issue that the gateway answers a second from its cache",
        description="Publishes one issue of 10 KB and asks the gateway for its page over kept connections.",
    )
    archive.add_argument(
        "--seconds",
        type=whole_number(1, ARCHIVE_SECONDS_MAX),
        default=10,
        metavar="S",
        help="how long each of the two measurements takes (default: 10)",
    )
    save = kinds.add_parser(
        "save",
        help="how long a save of a draft takes",
        description="Saves one HTML draft again and again through the gateway, with another content each time.",
    )
    save.add_argument(
        "--content-kb",
        type=whole_number(1, SAVE_KB_MAX),
        default=1_000,
        metavar="K",
        help="kilobytes of content (default: 1000)",
    )
    save.add_argument(
        "--saves", type=whole_number(1, SAVES_MAX), default=100, metavar="N", help="how many saves (default: 100)"
    )
    gateway = kinds.add_parser(
        "gateway",
        help="sign-ups, API requests, archive pages, one-click unsubscribes and webhooks a second",
        description="Offers each load to the gateway at a steady rate, and the same to the service behind it alone.",
    )
    gateway.add_argument(
        "--seconds",
        type=whole_number(1, GATEWAY_SECONDS_MAX),
        default=10,
        metavar="S",
        help="how long each load takes; 2 or 3 are enough to try something (default: 10)",
    )
    gateway.add_argument(
        "--only",
        type=_names(GATEWAY_LOADS),
        default=GATEWAY_LOADS,
        metavar="L,L,…",
        help=f"only these loads of {', '.join(GATEWAY_LOADS)} (default: all)",
    )
    for kind in (delivery, scaling, claim, imports, subscribers, reports, sign_ups, render, archive, save, gateway):
        add_output_options(kind)


def _add_size(command: argparse.ArgumentParser, *, recipients: int, latency_ms: int) -> None:
    command.add_argument(
        "--recipients",
        type=whole_number(1, RECIPIENTS_MAX),
        default=recipients,
        metavar="N",
        help=f"confirmed subscribers (default: {recipients})",
    )
    command.add_argument(
        "--latency-ms",
        type=whole_number(0, LATENCY_MAX_MS),
        default=latency_ms,
        metavar="L",
        help=f"how long the sandbox takes to answer a call (default: {latency_ms})",
    )
    _add_body(command)


def _add_body(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--body-kb",
        type=whole_number(1, BODY_MAX_KB),
        default=10,
        metavar="K",
        help="size of the HTML part; the text part has a tenth of it (default: 10)",
    )


def _numbers(one: Callable[[str], int]) -> Callable[[str], tuple[int, ...]]:
    def parse(raw: str) -> tuple[int, ...]:
        return tuple(one(part) for part in raw.split(","))

    return parse


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(raw: str) -> tuple[str, ...]:
        named = tuple(raw.split(","))
        unknown = [name for name in named if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(known)}: {', '.join(unknown)}")
        return named

    return parse
