"""Command-line options that several sub-commands share. Imports little, because every sub-command loads it."""

import argparse
from collections.abc import Callable


def add_output_options(command: argparse.ArgumentParser) -> None:
    """What every command that runs for a while takes: `--json` and `--stop-with-parent`."""
    command.add_argument("--json", action="store_true", help="one JSON line on standard output")
    command.add_argument(
        "--stop-with-parent",
        action="store_true",
        help="stop when the process that started this one ends, even if it was killed",
    )


def whole_number(smallest: int, largest: int) -> Callable[[str], int]:
    """An argparse type for a whole number within bounds."""

    def parse(raw: str) -> int:
        try:
            number = int(raw)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{raw!r} is not a whole number") from None
        if not smallest <= number <= largest:
            raise argparse.ArgumentTypeError(f"{number} is not between {smallest} and {largest}")
        return number

    return parse
