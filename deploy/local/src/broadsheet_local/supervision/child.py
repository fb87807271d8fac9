"""One child process: started in a session of its own, logged to a bounded file, stopped within a bound."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from broadsheet_local.embedded.account import Account
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.leftovers import created_at, kill_group

LOG_BYTES_MAX = 10 * 1024 * 1024
KILL_TIMEOUT_S = 5.0
POLL_S = 0.02

STAGE_SERVICE = 0
STAGE_PROVIDER = 1
STAGE_STORE = 2


class ProcessSpec(msgspec.Struct, frozen=True):
    """What to run. `stage` is its place in the order of stopping: services, then the sandbox, then stores."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15.0
    stage: int = STAGE_SERVICE
    account: Account | None = None
    input_path: Path | None = None
    """A file that the process reads as its standard input; opened by us, so `account` need not be able to."""


class Child:
    """A running process of ours. Its session keeps a terminal's Ctrl-C from reaching it before us."""

    def __init__(self, spec: ProcessSpec, guardian: Guardian | None = None) -> None:
        self.spec = spec
        self._guardian = guardian
        bound_log(spec.log_path)
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        # O_APPEND: the file may be cut short under a running process (see bound_log).
        log = os.open(spec.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        given = os.open(os.devnull if spec.input_path is None else spec.input_path, os.O_RDONLY)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - commands are composed here, never from input
                list(spec.command),
                stdin=given,
                stdout=log,
                stderr=log,
                cwd=spec.folder,
                env=dict(spec.environment),
                start_new_session=True,
                user=spec.account.uid if spec.account else None,
                group=spec.account.gid if spec.account else None,
                extra_groups=[] if spec.account else None,
            )
        except OSError as error:
            raise LaunchError(f"cannot start {spec.name}: {error}") from error
        finally:
            os.close(log)
            os.close(given)
        self.created_at = created_at(self._process.pid)
        if guardian is not None:
            guardian.watch(self.pid, self.created_at, spec.stop_signal, spec.stop_timeout_s, spec.stage)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; a negative number is the signal that ended it. Cleans up after a process that has
        ended.
        """
        already_known = self._process.returncode is not None
        code = self._process.poll()
        if code is not None and not already_known:
            kill_group(self.pid)
            if self._guardian is not None:
                self._guardian.forget(self.pid)
        return code

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        self.signal(self.spec.stop_signal)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False when the time is over first."""
        deadline = time.monotonic() + timeout_s
        while self.exit_code() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def kill(self) -> None:
        """End it and all of its process group at once."""
        if self.exit_code() is None:
            kill_group(self.pid)
            if not self.wait(KILL_TIMEOUT_S):
                raise LaunchError(f"{self.name} (pid {self.pid}) does not end even when killed")

    def stop(self) -> bool:
        """Ask it to end, wait, and kill it if it does not; True when it ended without being killed."""
        self.ask_to_stop()
        ended = self.wait(self.spec.stop_timeout_s)
        self.kill()
        return ended

    def describe_end(self) -> str:
        """`exited with code 2` or `was ended by SIGKILL`."""
        code = self.exit_code()
        if code is None:
            return "is running"
        if code >= 0:
            return f"exited with code {code}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"


def bound_log(path: Path) -> None:
    """Keep a log and one older part of it, each about LOG_BYTES_MAX long.

    The process keeps its descriptor, so the content is copied and the file truncated; a line written between the
    two is lost, which is acceptable for a local log.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    if size > LOG_BYTES_MAX:
        older = path.with_suffix(path.suffix + ".1")
        with path.open("rb") as full, older.open("wb") as kept:
            full.seek(max(0, size - LOG_BYTES_MAX))
            kept.write(full.read(LOG_BYTES_MAX))
        os.truncate(path, 0)
