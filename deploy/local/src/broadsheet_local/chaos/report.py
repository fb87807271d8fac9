"""The results of chaos, for people."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from broadsheet_local.chaos.result import ChaosResult, SeedResult


def print_settings(settings: Mapping[str, str], console: Console) -> None:
    told = ", ".join(f"{name}={value}" for name, value in settings.items())
    console.print(f"Shortened for this: {told}", highlight=False, style="dim")


def print_report(result: ChaosResult, seeds: Sequence[SeedResult], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("fault", no_wrap=True)
    for name in ("seeds", "lost", "twice", "unsettled", "worst s"):
        table.add_column(name, justify="right")
    table.add_column("bound", style="dim")
    table.add_column("failed seeds")
    for one in result.faults:
        table.add_row(
            one.name,
            str(one.seeds),
            _number(one.lost),
            _number(one.duplicates),
            _number(one.unsettled),
            "-" if one.worst_recovery_seconds is None else f"{one.worst_recovery_seconds:.1f}",
            one.bound,
            f"[red]{', '.join(map(str, one.failed_seeds))}[/red]" if one.failed_seeds else "",
        )
    console.print()
    console.print(table, highlight=False)
    console.print()
    played = f"{len(seeds)} scenarios played in {result.elapsed_seconds:.0f} s"
    if result.holds:
        console.print(f"[bold green]None lost, none twice, none unsettled.[/bold green] {played}.", highlight=False)
    else:
        console.print(f"[bold red]{result.failed} did not hold.[/bold red] {played}.", highlight=False)


def _number(value: int) -> str:
    return "0" if value == 0 else f"[red]{value}[/red]"
