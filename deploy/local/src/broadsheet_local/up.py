"""`up`: everything running until stopped."""

import asyncio
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from broadsheet_local.system import LocalSystem


class Ready(msgspec.Struct, frozen=True):
    """The one line of `--json`."""

    gateway_url: str
    sandbox_url: str | None
    database_url: str
    redis_url: str
    api_key: str
    username: str
    password: str


async def run_up(system: LocalSystem, *, as_json: bool) -> int:
    """Start, tell how to reach it, and stay until cancelled or until a child's death raises LaunchError."""
    started = asyncio.get_running_loop().time()
    async with system:
        if as_json:
            sys.stdout.write(msgspec.json.encode(ready(system)).decode() + "\n")
            sys.stdout.flush()
        else:
            print_summary(system, Console(), asyncio.get_running_loop().time() - started)
        await system.watch()
    return 0


def ready(system: LocalSystem) -> Ready:
    return Ready(
        gateway_url=system.addresses.gateway_url,
        sandbox_url=system.addresses.sandbox_url,
        database_url=system.database_url,
        redis_url=system.redis_url,
        api_key=system.credentials.api_key,
        username=system.username,
        password=system.password,
    )


def print_summary(system: LocalSystem, console: Console, seconds: float) -> None:
    site = system.addresses.public_url
    replicas = len(system.addresses.delivery_ports)
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Site", f"{site}/")
    table.add_row("Admin", f"{site}/admin/dashboard")
    table.add_row("API docs", f"{site}/docs")
    if site != system.addresses.gateway_url:
        table.add_row("Gateway", system.addresses.gateway_url)
    table.add_row("Sandbox inbox", system.addresses.sandbox_url or "none: mail goes to the given Postmark")
    table.add_row()
    table.add_row("Author login", f"{system.username} / {system.password}")
    table.add_row("", "[dim]this login exists in the embedded set-up only[/dim]")
    table.add_row("API key", system.credentials.api_key)
    table.add_row()
    table.add_row("Delivery", f"{replicas} process{'es' if replicas > 1 else ''}")
    table.add_row("Database", system.database_url)
    table.add_row("Redis", system.redis_url)
    table.add_row("Logs", str(system.folder.logs))
    console.print()
    console.print(f"[bold]Broadsheet is up[/bold] [dim]({seconds:.1f} s) · Ctrl-C stops everything[/dim]")
    console.print()
    # Addresses and keys are there to be copied: never broken by the width of a pipe.
    console.print(table, soft_wrap=True, highlight=False)
    console.print()
