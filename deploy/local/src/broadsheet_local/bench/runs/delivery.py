"""`bench delivery`: the whole pipeline, then what it is compared with, on the same stores and the same sandbox."""

import asyncio
from contextlib import AsyncExitStack, suppress

import msgspec

from broadsheet_local.bench.compared.comparison import Comparison, SenderKind
from broadsheet_local.bench.inputs.author import Author
from broadsheet_local.bench.inputs.issue_body import BenchIssue, make_issue
from broadsheet_local.bench.measuring.database import pinned_horizon
from broadsheet_local.bench.measuring.figures import (
    ComparisonFigures,
    DeliveryFigures,
    PinnedFigures,
    comparison_figures,
    cpu_us_per_email,
    memory,
    pinned_figures,
    ratio,
)
from broadsheet_local.bench.measuring.oracle import Oracle
from broadsheet_local.bench.runs.run_issue import IssueRun, run_issue
from broadsheet_local.bench.runs.sign_up_load import SignUpLoad, SignUpTimes
from broadsheet_local.demo.bulk_import import import_readers
from broadsheet_local.demo.people import Gateway
from broadsheet_local.demo.progress import Phases
from broadsheet_local.supervision.concurrency import first_of, in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

ORIGINAL_SECONDS = 6.0
"""About how long the original's way is watched; sending everything that way would take hours."""
ORIGINAL_OVERHEAD_S = 0.01


class DeliveryOptions(msgspec.Struct, frozen=True):
    recipients: int
    replicas: int
    calls: int
    latency_ms: int
    body_kb: int
    pinned_xmin: bool
    sign_ups: bool
    alone: bool


class Comparisons(msgspec.Struct, frozen=True):
    plain: ComparisonFigures
    original: ComparisonFigures
    original_a_call: ComparisonFigures


class _Stage(msgspec.Struct, frozen=True):
    """What every part of the run needs."""

    system: LocalSystem
    options: DeliveryOptions
    issue: BenchIssue
    author: Author
    oracle: Oracle
    phases: Phases


async def measure_delivery(system: LocalSystem, options: DeliveryOptions, say: Say) -> DeliveryFigures:
    """Needs a running system. Raises LaunchError when a measurement is not valid."""
    sandbox_url = system.addresses.sandbox_url
    assert sandbox_url is not None
    async with AsyncExitStack() as stack:
        oracle = Oracle(sandbox_url)
        stack.push_async_callback(oracle.aclose)
        author = Author(system.addresses.gateway_url, system.credentials.api_key)
        stack.push_async_callback(author.aclose)
        say(f"importing {options.recipients:,} confirmed subscribers")
        await in_thread(lambda: import_readers(system.database_url, 1, options.recipients))
        phases = stack.enter_context(Phases(say))
        stage = _Stage(system, options, make_issue(options.body_kb), author, oracle, phases)
        normal, sign_ups = await _normal_run(stage)
        pinned = pinned_figures(await _pinned_run(stage), normal) if options.pinned_xmin else None
        compared = None if options.alone else await _compare(stage)
    return _figures(options, normal, sign_ups, pinned, compared)


async def _normal_run(stage: _Stage) -> tuple[IssueRun, SignUpTimes | None]:
    if not stage.options.sign_ups:
        return await _run(stage, "Deliver"), None
    gateway = Gateway(stage.system.addresses.gateway_url, stage.system.credentials.api_key)
    try:
        load = SignUpLoad(gateway, stage.oracle)
        signing_up = asyncio.create_task(load.run())
        try:
            # A sign-up that fails ends the run, as any other failure would.
            run = await first_of(_run(stage, "Deliver"), signing_up)
        finally:
            signing_up.cancel()
            with suppress(asyncio.CancelledError):
                await signing_up
        return run, await load.times()
    finally:
        await gateway.aclose()


async def _pinned_run(stage: _Stage) -> IssueRun:
    with pinned_horizon(stage.system.database_url):
        return await _run(stage, "Pinned")


async def _run(stage: _Stage, name: str) -> IssueRun:
    recipients = stage.options.recipients
    phase = stage.phases.phase(name, recipients, stage.system.folder.log_path("delivery-1"))
    return await run_issue(stage.system, stage.author, stage.oracle, stage.issue, recipients=recipients, phase=phase)


async def _compare(stage: _Stage) -> Comparisons:
    """The plain pipeline with as many processes and calls; the original's way with as many workers as we have
    processes, and once more with as many as we have calls.
    """
    options = stage.options
    comparison = Comparison(stage.system, stage.oracle, stage.issue)
    await comparison.prepare()
    log_path = stage.system.folder.log_path("sandbox")

    async def compared(kind: SenderKind, name: str, *, calls: int, mails: int) -> ComparisonFigures:
        phase = stage.phases.phase(name, mails, log_path)
        run = await comparison.run(
            kind,
            processes=options.replicas,
            calls=calls,
            mails=mails,
            phase=phase,
        )
        return comparison_figures(run, calls=calls)

    a_worker = max(1, int(ORIGINAL_SECONDS / (options.latency_ms / 1000 + ORIGINAL_OVERHEAD_S)))
    workers = options.replicas * options.calls
    return Comparisons(
        plain=await compared("plain", "Plain", calls=options.calls, mails=options.recipients),
        original=await compared("original", "Original", calls=1, mails=a_worker * options.replicas),
        original_a_call=await compared(
            "original", "Original, all calls", calls=options.calls, mails=a_worker * workers
        ),
    )


def _figures(
    options: DeliveryOptions,
    run: IssueRun,
    sign_ups: SignUpTimes | None,
    pinned: PinnedFigures | None,
    compared: Comparisons | None,
) -> DeliveryFigures:
    plain = compared.plain.emails_per_s if compared else None
    original = compared.original.emails_per_s if compared else None
    original_a_call = compared.original_a_call.emails_per_s if compared else None
    rate = run.emails_per_s
    return DeliveryFigures(
        recipients=run.recipients,
        replicas=options.replicas,
        calls_per_replica=options.calls,
        latency_ms=options.latency_ms,
        body_kb=options.body_kb,
        publish_call_ms=round(run.publish_call_ms, 1),
        enqueue_rows_per_s=round(run.recipients / run.enqueue_seconds, 1),
        first_mail_seconds=round(run.first_mail_seconds, 3),
        last_mail_seconds=round(run.last_mail_seconds, 3),
        emails_per_s=round(rate, 1),
        missing=run.missing,
        duplicates=run.duplicates,
        failed=run.failed,
        claim_ms_first_tenth=run.claims_first,
        claim_ms_last_tenth=run.claims_last,
        wal_bytes_per_email=round(run.wal_bytes / run.recipients, 1),
        cpu_us_per_email=cpu_us_per_email(run.uses, run.recipients),
        rss_mb=memory(run.uses),
        plain_emails_per_s=plain,
        ratio_to_plain=ratio(rate, plain, 3),
        original_emails_per_s=original,
        ratio_to_original=ratio(rate, original, 1),
        original_a_call_emails_per_s=original_a_call,
        ratio_to_original_a_call=ratio(rate, original_a_call, 1),
        plain=compared.plain if compared else None,
        original=compared.original if compared else None,
        original_a_call=compared.original_a_call if compared else None,
        pinned_xmin=pinned,
        sign_ups=sign_ups,
    )
