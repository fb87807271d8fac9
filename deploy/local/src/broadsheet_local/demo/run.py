"""`demo`: one issue from sign-up to delivery, checked against the sandbox's log."""

import shutil
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

import msgspec
from rich.console import Console

from broadsheet_local.demo.bulk_import import import_readers, reader_email
from broadsheet_local.demo.issue_content import IssueContent, load_issue
from broadsheet_local.demo.people import Gateway
from broadsheet_local.demo.progress import Phases
from broadsheet_local.demo.publish_and_wait import Sending, Written, publish_and_wait, write_and_check
from broadsheet_local.demo.recipients import Verdict, compare
from broadsheet_local.demo.report import DemoResult, print_report
from broadsheet_local.demo.sandbox_log import SandboxLog
from broadsheet_local.demo.sign_up_everybody import confirm_readers, sign_up_readers
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import all_or_first_error, first_of, in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

FORM_SIGN_UPS_MAX = 5_000


class DemoOptions(msgspec.Struct, frozen=True):
    subscribers: int
    replicas: int
    latency_ms: int
    as_json: bool

    @property
    def by_form(self) -> int:
        """Those above FORM_SIGN_UPS_MAX are imported: two cores take a few hundred people a second by form."""
        return min(self.subscribers, FORM_SIGN_UPS_MAX)


async def run_demo(system: LocalSystem, options: DemoOptions, say: Say) -> int:
    """0 when everybody got the issue once, else 1. The data folder is removed when all went well."""
    content = load_issue()
    say(f"starting everything in {system.folder.root}")
    try:
        async with system:
            result, verdict = await first_of(journey(system, options, content, say), system.watch())
            print_report(result, verdict, content.title, Console(stderr=options.as_json))
            if options.as_json:
                sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
                sys.stdout.flush()
    except LaunchError:
        say(f"the demo failed; its logs are in {system.folder.logs}")
        raise
    if not result.is_good:
        say(f"the logs are in {system.folder.logs}")
        return 1
    await in_thread(lambda: shutil.rmtree(system.folder.root))
    return 0


async def journey(
    system: LocalSystem, options: DemoOptions, content: IssueContent, say: Say
) -> tuple[DemoResult, Verdict]:
    sandbox_url = system.addresses.sandbox_url
    assert sandbox_url is not None
    public_url = system.addresses.public_url
    async with AsyncExitStack() as stack:
        gateway = Gateway(system.addresses.gateway_url, system.credentials.api_key)
        stack.push_async_callback(gateway.aclose)
        log = SandboxLog(sandbox_url)
        stack.push_async_callback(log.aclose)
        phases = stack.enter_context(Phases(say))

        began = time.monotonic()
        people, delivery_log = options.by_form, system.folder.log_path("delivery-1")
        sign_ups = phases.phase("Sign up", people, system.folder.log_path("gateway"))
        confirmations = phases.phase("Confirm", people, delivery_log)
        confirmed: set[str] = set()
        await all_or_first_error(
            [
                sign_up_readers(gateway, people, sign_ups),
                confirm_readers(gateway, log, people, public_url, confirmed, confirmations),
            ]
        )
        sign_up_seconds = time.monotonic() - began
        if options.subscribers > people:
            await in_thread(lambda: import_readers(system.database_url, people + 1, options.subscribers))
            say(f"imported {options.subscribers - people:,} more subscribers in bulk")
        newsletter = await gateway.open_archive()
        written = await write_and_check(gateway, content)
        say(f"wrote the issue from its Markdown file and checked it: {found_by(written)}")
        sending = await publish_and_wait(
            gateway,
            written.issue_id,
            audience=options.subscribers,
            phase=phases.phase("Deliver", options.subscribers, delivery_log),
        )
        archive_path = await gateway.archive_path(newsletter, written.issue_id)
        delivered = [recipient async for recipient in log.recipients_of(content.title)]
    expected = frozenset(reader_email(number) for number in range(1, options.subscribers + 1))
    verdict = compare(expected, delivered)
    result = summarise(
        options,
        verdict,
        written,
        sending,
        confirmed=len(confirmed),
        sign_up_seconds=sign_up_seconds,
        restarts=system.restarts,
        archive_path=archive_path,
    )
    return result, verdict


def found_by(written: Written) -> str:
    """By the checks, in words."""
    warnings = Counter(one.code for one in written.checks.findings if one.severity == "warns")
    told = "".join(f", {count} {code}" for code, count in warnings.items())
    notes = sum(one.severity == "notes" for one in written.checks.findings)
    return f"nothing blocks it{told}, {notes} notes"


def summarise(
    options: DemoOptions,
    verdict: Verdict,
    written: Written,
    sending: Sending,
    *,
    confirmed: int,
    sign_up_seconds: float,
    restarts: int,
    archive_path: str,
) -> DemoResult:
    found = Counter(one.severity for one in written.checks.findings)
    return DemoResult(
        subscribers=options.subscribers,
        signed_up=options.by_form,
        confirmed=confirmed,
        imported=options.subscribers > options.by_form,
        imported_count=options.subscribers - options.by_form,
        accepted=verdict.accepted,
        missing=verdict.missing,
        duplicates=verdict.duplicates,
        strangers=verdict.strangers,
        counts=sending.counts,
        warnings=found["warns"],
        notes=found["notes"],
        html_bytes=written.preview.html_bytes,
        text_bytes=written.preview.text_bytes,
        archive_path=archive_path,
        sign_up_seconds=round(sign_up_seconds, 3),
        enqueue_seconds=round(sending.enqueue_seconds, 3),
        delivery_seconds=round(sending.delivery_seconds, 3),
        emails_per_second=round(verdict.accepted / sending.delivery_seconds, 1),
        replicas=options.replicas,
        replicas_restarted=restarts,
        latency_ms=options.latency_ms,
    )
