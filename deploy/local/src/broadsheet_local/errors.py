"""What a person is told when the local set-up cannot go on."""

from pathlib import Path

TAIL_BYTES_MAX = 4_000
TAIL_LINES_MAX = 15


class LaunchError(Exception):
    """An expected failure: one clear sentence, optionally with the end of the log that explains it."""

    def __init__(self, message: str, *, log_path: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.log_path = log_path

    def __str__(self) -> str:
        if self.log_path is None:
            return self.message
        tail = log_tail(self.log_path)
        shown = f"the end of {self.log_path}:\n{tail}" if tail else f"{self.log_path} is empty"
        return f"{self.message}\n{shown}"


def log_tail(path: Path) -> str:
    """The last lines of a log, indented; an absent log is empty."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - TAIL_BYTES_MAX))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"  | {line}" for line in text.splitlines()[-TAIL_LINES_MAX:])
