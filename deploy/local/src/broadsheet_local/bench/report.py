"""A benchmark's figures for people."""

from rich.console import Console
from rich.table import Table

from broadsheet_local.bench.measuring.claim_log import ClaimTimes
from broadsheet_local.bench.measuring.figures import (
    ClaimFigures,
    DeliveryFigures,
    ReportFigures,
    RequestTimes,
    SaveFigures,
    ScalingFigures,
    SubscriberFigures,
)
from broadsheet_local.bench.measuring.gateway_figures import GatewayFigures, Measured
from broadsheet_local.bench.runs.archive import ArchiveFigures
from broadsheet_local.bench.runs.imports import ImportFigures
from broadsheet_local.bench.runs.render import RenderFigures
from broadsheet_local.bench.runs.sign_up_states import SignUpFigures


def print_delivery(figures: DeliveryFigures, console: Console) -> None:
    table = Table(
        title=f"{figures.recipients:,} recipients, {figures.replicas} replicas with {figures.calls_per_replica} calls "
        f"each, {figures.latency_ms} ms latency, {figures.body_kb} KB",
        show_header=False,
    )
    rows = [
        ("e-mails a second", f"{figures.emails_per_s:,.0f}"),
        *_compared(figures),
        ("publish call", f"{figures.publish_call_ms:.0f} ms"),
        ("enqueued a second", f"{figures.enqueue_rows_per_s:,.0f} rows"),
        ("first mail", f"{figures.first_mail_seconds:.2f} s"),
        ("last mail", f"{figures.last_mail_seconds:.2f} s"),
        ("missing, duplicates, failed", f"{figures.missing}, {figures.duplicates}, {figures.failed}"),
        ("claim, first tenth", _claims(figures.claim_ms_first_tenth)),
        ("claim, last tenth", _claims(figures.claim_ms_last_tenth)),
        ("write-ahead log", f"{figures.wal_bytes_per_email:,.0f} bytes a mail"),
    ]
    if (pinned := figures.pinned_xmin) is not None:
        rows.append(
            (
                "with a transaction held open",
                f"{pinned.emails_per_s:,.0f} a second: {pinned.ratio_to_normal:.2f} of normal",
            )
        )
    if (sign_ups := figures.sign_ups) is not None:
        rows.append(
            (
                f"{sign_ups.sign_ups} sign-ups to confirmation mail",
                f"p50 {sign_ups.seconds_p50:.2f} s, p99 {sign_ups.seconds_p99:.2f} s, max {sign_ups.seconds_max:.2f} s",
            )
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(_use(figures))


def _compared(figures: DeliveryFigures) -> list[tuple[str, str]]:
    if figures.plain is None or figures.original is None or figures.original_a_call is None:
        return []
    return [
        ("the plain pipeline", f"{figures.plain.emails_per_s:,.0f}: ours is {figures.ratio_to_plain:.2f} times that"),
        (
            "the original's way, one worker a replica",
            f"{figures.original.emails_per_s:,.1f}: ours is {figures.ratio_to_original:,.0f} times that",
        ),
        (
            "the original's way, one worker a call",
            f"{figures.original_a_call.emails_per_s:,.1f}: ours is {figures.ratio_to_original_a_call:,.0f} times that",
        ),
    ]


def _use(figures: DeliveryFigures) -> Table:
    table = Table("process", "µs of CPU a mail", "MB at the start", "most", "at the end")
    for name, cpu_us in figures.cpu_us_per_email.items():
        table.add_row(name, f"{cpu_us:,.1f}")
        for process, memory in figures.rss_mb.items():
            if process.rstrip("0123456789").rstrip("-") == name:
                table.add_row(f"  {process}", "", f"{memory.start:.0f}", f"{memory.peak:.0f}", f"{memory.end:.0f}")
    if figures.plain is not None:
        for name, cpu_us in figures.plain.cpu_us_per_email.items():
            table.add_row(f"[dim]plain run: {name}[/dim]", f"[dim]{cpu_us:,.1f}[/dim]")
    return table


def print_scaling(figures: ScalingFigures, console: Console) -> None:
    table = Table("replicas", "e-mails a second", "of linear", "CPU seconds", "seconds")
    for step in figures.steps:
        table.add_row(
            str(step.replicas),
            f"{step.emails_per_s:,.0f}",
            f"{step.linearity:.2f}",
            f"{step.cpu_seconds:.1f}",
            f"{step.seconds:.1f}",
        )
    console.print(table)


def print_claims(figures: ClaimFigures, console: Console) -> None:
    table = Table("queued", "claims", "p50", "p99")
    for queue, times in (
        (figures.short_queue, figures.claim_ms_short),
        (figures.long_queue, figures.claim_ms_long),
    ):
        table.add_row(f"{queue:,}", str(times.claims), f"{times.p50:.2f} ms", f"{times.p99:.2f} ms")
    console.print(table)
    console.print(f"p99 of the long queue divided by that of the short one: {figures.ratio_p99:.2f}")


def print_render(figures: RenderFigures, console: Console) -> None:
    table = Table(title=f"{figures.body_kb} KB, the best of {figures.rounds} rounds", show_header=False)
    table.add_row("HTML parts a second", f"{figures.html_per_s:,}")
    table.add_row("mails a second, both parts", f"{figures.mails_per_s:,}")
    table.add_row("as the issue says", "yes" if figures.is_whole else "no")
    console.print(table)


def print_imports(figures: ImportFigures, console: Console) -> None:
    table = Table(title=f"{figures.rows:,} rows, {figures.file_mb} MB", show_header=False)
    table.add_row("rows a second", f"{figures.rows_per_s:,}")
    table.add_row("upload; import", f"{figures.upload_seconds} s; {figures.import_seconds} s")
    table.add_row("created; rejected", f"{figures.created:,}; {figures.rejected:,}")
    table.add_row("as the file says", "yes" if figures.is_whole else "no")
    table.add_row("write-ahead log", f"{figures.wal_bytes_per_row} bytes a row")
    table.add_row("exported a second", f"{figures.export_rows_per_s:,} ({figures.export_seconds} s)")
    for name, cpu_us in figures.cpu_us_per_row.items():
        table.add_row(f"{name}, processor a row", f"{cpu_us} µs")
    for title, memory in (("import", figures.rss_mb_by_process), ("export", figures.export_rss_mb)):
        for name, mb in memory.items():
            megabytes = f"{mb.start:.0f}, at most {mb.peak:.0f}, at the end {mb.end:.0f} MB"
            table.add_row(f"{name}, memory, {title}", megabytes)
    console.print(table)


def print_sign_ups(figures: SignUpFigures, console: Console) -> None:
    table = Table(f"{figures.sign_ups_a_state} sign-ups of each", "p50", "p90", "p99")
    for state, times in figures.answers.items():
        table.add_row(state.replace("_", " "), *(f"{ms} ms" for ms in (times.ms_p50, times.ms_p90, times.ms_p99)))
    console.print(table)
    console.print(f"medians apart: {figures.ms_p50_spread} ms; the same page: {'yes' if figures.is_whole else 'no'}")


def print_archive(figures: ArchiveFigures, console: Console) -> None:
    table = Table(f"{figures.page_bytes:,} bytes, {figures.connections} connections", "a second", "p50", "p99", "CPU")
    for what, times in (("page", figures.page), ("not modified", figures.not_modified)):
        table.add_row(
            what,
            f"{times.answers_per_s:,.0f}",
            f"{times.ms_p50} ms",
            f"{times.ms_p99} ms",
            f"{times.gateway_cpu_us} µs",
        )
    console.print(table)
    console.print(
        f"{figures.processors} processors, load {figures.load_before} before; "
        f"as they should be: {'yes' if figures.is_whole else 'no'}"
    )


def print_saves(figures: SaveFigures, console: Console) -> None:
    console.print(
        f"{figures.saves:,} saves of {figures.content_kb:,} KB: p50 {figures.ms_p50} ms, p99 {figures.ms_p99} ms, "
        f"longest {figures.ms_longest} ms; {figures.processors} processors, load {figures.load_before} before; "
        f"as they should be: {'yes' if figures.is_whole else 'no'}"
    )


def print_subscribers(figures: SubscriberFigures, console: Console) -> None:
    table = Table("of " + f"{figures.subscribers:,} subscribers", "requests", "p50", "p99", "longest")
    groups = (
        ("page", figures.page_ms),
        ("search", figures.search_ms),
        ("count", figures.segment_count_ms),
        ("batch", figures.batch_ms),
    )
    for what, times_by_kind in groups:
        for kind, times in times_by_kind.items():
            table.add_row(f"{what}: {kind.replace('_', ' ')}", *_request_times(times))
    table.add_row("preview of an audience", *_request_times(figures.audience_preview_ms))
    console.print(table)
    console.print(
        f"an audience frozen in {figures.freeze_audience_seconds:.2f} s; wrong answers: {figures.wrong_answers}"
    )


def print_reports(figures: ReportFigures, console: Console) -> None:
    what = f"of {figures.events:,} events about {figures.recipients:,} recipients"
    table = Table(what, "requests", "p50", "p99", "longest")
    for kind, times in figures.request_ms.items():
        table.add_row(kind.replace("_", " "), *_request_times(times))
    console.print(table)
    console.print(
        f"rolled up in {figures.roll_up_seconds:.1f} s, {figures.rolled_up_events_per_s:,.0f} events a second; "
        f"wrong figures: {figures.wrong_figures}"
    )
    if figures.sending is not None:
        cost = figures.sending
        console.print(
            f"mails a second without the roll-up {cost.emails_per_s_without}, with it {cost.emails_per_s_with}: "
            f"it costs {cost.cost:.1%}, and rolled up {cost.events_rolled_up:,} of {cost.events_waiting:,} events"
        )


def _request_times(times: RequestTimes) -> tuple[str, str, str, str]:
    return str(times.requests), f"{times.p50:.1f} ms", f"{times.p99:.1f} ms", f"{times.max:.1f} ms"


def _claims(times: ClaimTimes | None) -> str:
    return "none" if times is None else f"p50 {times.p50:.1f} ms, p99 {times.p99:.1f} ms of {times.claims}"


def print_gateway(figures: GatewayFigures, console: Console) -> None:
    table = Table(
        "load", "a second", "p50", "p99", "at most", "quiet p50", "µs of CPU each", "wrong",
        title=f"{figures.connections} connections, {figures.seconds} s each, load before {figures.load_before}, "
        f"slowness {figures.slowness}",
    )  # fmt: skip
    for kind, measured in figures.through_gateway.items():
        table.add_row(kind, *_measured(measured))
        if kind in figures.service_alone:
            table.add_row("[dim]  the service alone[/dim]", *_measured(figures.service_alone[kind]))
    console.print(table)
    for kind, measured in figures.through_gateway.items():
        parts = ", ".join(f"{name} {us:,.0f}" for name, us in measured.cpu_us.items() if us >= 1)
        console.print(f"{kind}: µs of CPU by process: {parts}")
    if figures.hop_ratio:
        console.print(f"a read through the gateway takes {figures.hop_ratio:.2f} times as long as at the service alone")
    console.print(
        "lost: " + (", ".join(f"{name} {count}" for name, count in figures.lost.items()) or "nothing measured")
    )
    if (over := figures.overload) is not None:
        taken = f"{over.taken_per_s:,.0f} taken (p99 {over.taken_ms_p99:.0f} ms)"
        refused = f"{over.refused:,} refused (p99 {over.refused_ms_p99:.0f} ms)"
        console.print(f"at {over.offered_per_s:,.0f} sign-ups a second: {taken}, {refused}, {over.wrong} wrong")
        pages = f"p99 {over.admin_ms_p99:.0f} ms of {over.admin_pages}, {over.admin_wrong} wrong"
        console.print(f"admin pages meanwhile: {pages}")


def _measured(measured: Measured) -> tuple[str, ...]:
    return (
        f"{measured.per_s:,.0f}" + ("" if measured.is_held else " (not held)"),
        f"{measured.ms_p50:.1f} ms",
        f"{measured.ms_p99:.1f} ms",
        f"{measured.most_per_s:,.0f}",
        f"{measured.quiet_ms_p50:.2f} ms",
        f"{measured.cpu_us['total']:,.0f}",
        str(measured.wrong),
    )
