"""`up`: everything running until stopped."""

import asyncio
import sys

import msgspec

from broadsheet_local.supervision.supervisor import Say
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


async def run_up(system: LocalSystem, say: Say, *, as_json: bool) -> int:
    """Start, tell how to reach it, and stay until cancelled or until a child's death raises LaunchError."""
    say(f"starting everything in {system.folder.root}")
    started = asyncio.get_running_loop().time()
    async with system:
        if as_json:
            sys.stdout.write(msgspec.json.encode(ready(system)).decode() + "\n")
            sys.stdout.flush()
        else:
            print_summary(system, asyncio.get_running_loop().time() - started)
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


def print_summary(system: LocalSystem, seconds: float) -> None:
    # Imported here: `--json` does not need it.
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    console.print()
    console.print(
        f"[bold]Broadsheet is up[/bold] [dim]({seconds:.1f} s) · Ctrl-C stops everything[/dim]", highlight=False
    )
    for group in summary(system):
        console.print()
        for name, value in group:
            # Addresses and keys are meant to be copied: never broken by the width of a terminal.
            console.print(f"  [bold]{name:<14}[/bold]{value}", soft_wrap=True, highlight=False)
    console.print()


def summary(system: LocalSystem) -> list[list[tuple[str, str]]]:
    """Names and values in groups."""
    site = system.addresses.public_url
    gateway = system.addresses.gateway_url
    replicas = len(system.addresses.delivery_ports)
    return [
        [
            ("Site", f"{site}/"),
            ("Admin", f"{site}/admin/dashboard"),
            ("API docs", f"{site}/docs"),
            *([("Gateway", gateway)] if site != gateway else []),
            ("Inbox", system.addresses.sandbox_url or "none: mail goes out through the given Postmark"),
        ],
        [
            ("Author", f"{system.username} / {system.password}  [dim](in the embedded set-up only)[/dim]"),
            ("API key", system.credentials.api_key),
        ],
        [
            ("Delivery", "1 process" if replicas == 1 else f"{replicas} processes"),
            ("Database", system.database_url),
            ("Redis", system.redis_url),
            ("Logs", str(system.folder.logs)),
        ],
    ]
