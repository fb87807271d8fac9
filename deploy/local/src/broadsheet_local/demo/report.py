"""The demo's results, for people and for machines."""

import msgspec
from rich.console import Console
from rich.table import Table

from broadsheet_local.demo.people import Counts
from broadsheet_local.demo.recipients import Verdict


class DemoResult(msgspec.Struct, frozen=True):
    """The last line of `--json`.

    `signed_up` and `confirmed` count people who came through the public form; `imported_count` the others.
    `warnings` and `notes` are what the checks found, of which nothing blocked; sizes are of one mail's two parts.
    `accepted`, `missing`, `duplicates` and `strangers` are by the sandbox's log, `counts` by the API.
    `enqueue_seconds` (until every delivery is queued) and `delivery_seconds` (until every delivery is settled)
    count from the publish call.
    """

    subscribers: int
    signed_up: int
    confirmed: int
    imported: bool
    imported_count: int
    accepted: int
    missing: int
    duplicates: int
    strangers: int
    counts: Counts
    warnings: int
    notes: int
    html_bytes: int
    text_bytes: int
    archive_path: str
    sign_up_seconds: float
    enqueue_seconds: float
    delivery_seconds: float
    emails_per_second: float
    replicas: int
    replicas_restarted: int
    latency_ms: int

    @property
    def is_good(self) -> bool:
        """Everybody once and nobody else, and the API says the same as the provider."""
        return self.missing == self.duplicates == self.strangers == 0 and self.counts.accepted == self.accepted


def print_report(result: DemoResult, verdict: Verdict, title: str, console: Console) -> None:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    table.add_row("Subscribers", f"{result.subscribers:,}", origin(result))
    table.add_row(
        "Sign-up", f"{result.sign_up_seconds:.1f} s", f"form, mail, confirmation of {result.confirmed:,} people"
    )
    table.add_row(
        "Checks", "passed", f"one Markdown file: {result.warnings} warnings, {result.notes} notes, none blocks"
    )
    table.add_row(
        "Mail",
        f"{result.html_bytes / 1000:.1f} kB",
        f"of HTML, by the preview; {result.text_bytes / 1000:.1f} kB of text",
    )
    table.add_row("Enqueue", f"{result.enqueue_seconds:.2f} s", "publish call until every delivery was queued")
    table.add_row("Delivery", f"{result.delivery_seconds:.2f} s", "publish call until every delivery was settled")
    table.add_row("Rate", f"{result.emails_per_second:,.0f}/s", f"{result.latency_ms} ms a call to the sandbox")
    table.add_row("Archive", "open", f"everybody reads it at {result.archive_path}")
    table.add_row()
    table.add_row("Accepted", f"{result.accepted:,}", "by the sandbox's log, one by one")
    table.add_row("Missing", number(result.missing), ", ".join(verdict.missing_shown))
    table.add_row("Duplicates", number(result.duplicates), ", ".join(verdict.duplicates_shown))
    table.add_row("Strangers", number(result.strangers), "recipients who had not subscribed")
    console.print()
    console.print(f"[bold]{title}[/bold]", highlight=False)
    console.print()
    console.print(table, highlight=False)
    console.print()
    counts = msgspec.structs.asdict(result.counts)
    audience = counts.pop("audience")
    told = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if value)
    console.print(f"By the API, of an audience of {audience:,}: {told}.", highlight=False)
    console.print(closing_line(result), highlight=False)


def origin(result: DemoResult) -> str:
    if not result.imported:
        return "all through the public form"
    return f"{result.signed_up:,} through the public form, {result.imported_count:,} imported in bulk"


def number(value: int) -> str:
    return "[green]0[/green]" if value == 0 else f"[red]{value:,}[/red]"


def closing_line(result: DemoResult) -> str:
    processes = "1 delivery process" if result.replicas == 1 else f"{result.replicas} delivery processes"
    restarted = f"{processes}, {result.replicas_restarted} restarted"
    if result.is_good:
        return f"[bold green]Everyone got it once.[/bold green] {restarted}."
    return f"[bold red]Not everyone got it exactly once, or the counts do not match.[/bold red] {restarted}."
