"""From parsed arguments to a benchmark that starts, runs, prints and cleans up."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from broadsheet_local.bench.measuring.figures import (
    ClaimFigures,
    DeliveryFigures,
    ReportFigures,
    SaveFigures,
    ScalingFigures,
    ScalingStep,
    SendingCostFigures,
    SubscriberFigures,
)
from broadsheet_local.bench.measuring.gateway_figures import GatewayFigures
from broadsheet_local.bench.report import (
    print_archive,
    print_claims,
    print_delivery,
    print_gateway,
    print_imports,
    print_render,
    print_reports,
    print_saves,
    print_scaling,
    print_sign_ups,
    print_subscribers,
)
from broadsheet_local.bench.runs.archive import ArchiveFigures, measure_archive
from broadsheet_local.bench.runs.claim import measure_claims
from broadsheet_local.bench.runs.delivery import DeliveryOptions, measure_delivery
from broadsheet_local.bench.runs.gateway import measure_gateway
from broadsheet_local.bench.runs.imports import POSTGRES_SETTINGS, ImportFigures, measure_import
from broadsheet_local.bench.runs.render import RenderFigures, measure_render
from broadsheet_local.bench.runs.reports import measure_reports, measure_sending_cost
from broadsheet_local.bench.runs.saves import measure_saves
from broadsheet_local.bench.runs.sign_up_states import SignUpFigures, measure_sign_ups
from broadsheet_local.bench.runs.subscribers import measure_subscribers
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import first_of, in_thread
from broadsheet_local.supervision.interrupts import Interrupts, exit_code_of
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem, Options

DELIVERY_CALLS = 4
REPORT_REPLICAS = 2
REPORT_LATENCY_MS = 100

Figures = TypeVar(
    "Figures",
    DeliveryFigures,
    ScalingFigures,
    ClaimFigures,
    ImportFigures,
    SubscriberFigures,
    SignUpFigures,
    RenderFigures,
    ReportFigures,
    ArchiveFigures,
    SaveFigures,
    GatewayFigures,
)
OfSystem = TypeVar(
    "OfSystem",
    DeliveryFigures,
    ImportFigures,
    SendingCostFigures,
    SignUpFigures,
    ArchiveFigures,
    SaveFigures,
    GatewayFigures,
)


class Systems:
    """Makes one local system after another, each in a fresh folder; `kill` gives up on the one that runs."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._running: LocalSystem | None = None

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()

    async def with_one(
        self, measure: Callable[[LocalSystem], Awaitable[OfSystem]], of_folder: Callable[[Path], Options]
    ) -> OfSystem:
        """Run `measure` on a fresh system. The folder is removed on success; otherwise its logs are kept and their
        path is printed.
        """
        folder = Path(tempfile.mkdtemp(prefix="broadsheet-bench-"))
        system = LocalSystem(of_folder(folder), self._say)
        self._running = system
        try:
            async with system:
                figures = await first_of(measure(system), system.watch())
        except LaunchError:
            self._say(f"the benchmark failed; its logs are in {system.folder.logs}")
            raise
        except BaseException:
            # Stopped by a person: unlike after a failure nobody needs the logs, and the data of a queue of a million is
            # large.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._running = None
        if figures.is_whole:
            await in_thread(lambda: shutil.rmtree(folder))
        else:
            self._say(f"the result is not what was expected; the logs are in {system.folder.logs}")
        return figures


def _for_delivery(options: DeliveryOptions, folder: Path) -> Options:
    return Options(
        data_dir=folder,
        replicas=options.replicas,
        latency_ms=options.latency_ms,
        # The debug log has each claim's own time.
        delivery_settings={"DELIVERY_CONCURRENT_CALLS": str(options.calls), "LOG_LEVEL": "DEBUG"},
    )


def _for_import(folder: Path) -> Options:
    return Options(data_dir=folder, postgres_settings=POSTGRES_SETTINGS)


async def _of_a_system(parsed: argparse.Namespace, systems: Systems, say: Say) -> int:
    """`bench archive`, `bench save` and `bench gateway`."""
    if parsed.kind == "gateway":
        gateway = await systems.with_one(
            partial(measure_gateway, seconds=parsed.seconds, only=parsed.only, say=say),
            lambda folder: Options(data_dir=folder),
        )
        _print(gateway, print_gateway, as_json=parsed.json)
        return 0 if gateway.is_whole else 1
    if parsed.kind == "archive":
        archive = await systems.with_one(
            partial(measure_archive, seconds=parsed.seconds, say=say), lambda folder: Options(data_dir=folder)
        )
        _print(archive, print_archive, as_json=parsed.json)
        return 0 if archive.is_whole else 1
    saves = await systems.with_one(
        partial(measure_saves, content_kb=parsed.content_kb, saves=parsed.saves, say=say),
        lambda folder: Options(data_dir=folder),
    )
    _print(saves, print_saves, as_json=parsed.json)
    return 0 if saves.is_whole else 1


def bench(parsed: argparse.Namespace, say: Say) -> int:
    """Exit status: 0 when every mail came exactly once (for lists: when every answer was right), else 1."""
    systems = Systems(say)

    async def work() -> int:
        match parsed.kind:
            case "delivery":
                delivery = await _delivery(parsed, systems, say)
                _print(delivery, print_delivery, as_json=parsed.json)
                return 0 if delivery.is_whole else 1
            case "scaling":
                scaling = await _scaling(parsed, systems, say)
                _print(scaling, print_scaling, as_json=parsed.json)
                return 0 if scaling.is_whole else 1
            case "import":
                say(f"importing {parsed.rows:,} rows")
                imports = await systems.with_one(partial(measure_import, rows=parsed.rows, say=say), _for_import)
                _print(imports, print_imports, as_json=parsed.json)
                return 0 if imports.is_whole else 1
            case "sign-up":
                sign_ups = await systems.with_one(
                    partial(measure_sign_ups, a_state=parsed.a_state, say=say), lambda folder: Options(data_dir=folder)
                )
                _print(sign_ups, print_sign_ups, as_json=parsed.json)
                return 0 if sign_ups.is_whole else 1
            case "reports":
                reports = await _reports(parsed, systems, say)
                _print(reports, print_reports, as_json=parsed.json)
                return 0 if reports.is_whole else 1
            case "archive" | "save" | "gateway":
                return await _of_a_system(parsed, systems, say)
            case "subscribers":
                lists = await measure_subscribers(
                    count=parsed.subscribers, requests=parsed.requests, counts=parsed.counts, say=say
                )
                _print(lists, print_subscribers, as_json=parsed.json)
                return 0 if lists.is_whole else 1
            case "render":
                renders = await in_thread(
                    partial(measure_render, body_kb=parsed.body_kb, mails=parsed.mails, rounds=parsed.rounds, say=say)
                )
                _print(renders, print_render, as_json=parsed.json)
                return 0 if renders.is_whole else 1
            case _:
                claims = await measure_claims(long_queue=parsed.recipients, claims=parsed.claims, say=say)
                _print(claims, print_claims, as_json=parsed.json)
                return 0

    outcome = Interrupts(on_second=systems.kill, stop_with_parent=parsed.stop_with_parent).run(work)
    return exit_code_of(outcome, what="the benchmark", say=say)


async def _delivery(parsed: argparse.Namespace, systems: Systems, say: Say) -> DeliveryFigures:
    options = DeliveryOptions(
        recipients=parsed.recipients,
        replicas=parsed.replicas,
        calls=parsed.calls,
        latency_ms=parsed.latency_ms,
        body_kb=parsed.body_kb,
        pinned_xmin=parsed.pinned_xmin,
        sign_ups=parsed.sign_ups,
        alone=parsed.alone,
    )
    return await systems.with_one(partial(measure_delivery, options=options, say=say), partial(_for_delivery, options))


async def _reports(parsed: argparse.Namespace, systems: Systems, say: Say) -> ReportFigures:
    found = await measure_reports(recipients=parsed.recipients, events=parsed.events, requests=parsed.requests, say=say)
    if parsed.sent == 0:
        return found
    options = DeliveryOptions(
        recipients=parsed.sent,
        replicas=REPORT_REPLICAS,
        calls=DELIVERY_CALLS,
        latency_ms=REPORT_LATENCY_MS,
        body_kb=0,
        pinned_xmin=False,
        sign_ups=False,
        alone=True,
    )
    sending = await systems.with_one(
        partial(measure_sending_cost, recipients=parsed.sent, say=say), partial(_for_delivery, options)
    )
    return msgspec.structs.replace(found, sending=sending)


async def _scaling(parsed: argparse.Namespace, systems: Systems, say: Say) -> ScalingFigures:
    steps: list[ScalingStep] = []
    for replicas in parsed.replicas:
        options = DeliveryOptions(
            recipients=parsed.recipients,
            replicas=replicas,
            calls=DELIVERY_CALLS,
            latency_ms=parsed.latency_ms,
            body_kb=parsed.body_kb,
            pinned_xmin=False,
            sign_ups=False,
            alone=True,
        )
        say(f"replicas: {replicas}")
        found = await systems.with_one(
            partial(measure_delivery, options=options, say=say), partial(_for_delivery, options)
        )
        first = steps[0] if steps else None
        a_replica = first.emails_per_s / first.replicas if first else found.emails_per_s / replicas
        steps.append(
            ScalingStep(
                replicas=replicas,
                emails_per_s=found.emails_per_s,
                linearity=round(found.emails_per_s / replicas / a_replica, 3),
                cpu_seconds=round(found.cpu_us_per_email["total"] * found.recipients / 1e6, 1),
                seconds=found.last_mail_seconds,
                missing=found.missing,
                duplicates=found.duplicates,
            )
        )
    return ScalingFigures(parsed.recipients, parsed.latency_ms, parsed.body_kb, tuple(steps))


def _print(figures: Figures, show: Callable[[Figures, Console], None], *, as_json: bool) -> None:
    show(figures, Console(stderr=as_json))
    if as_json:
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
        sys.stdout.flush()
