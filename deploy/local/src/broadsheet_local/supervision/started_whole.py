"""Things that start as a whole and must never be left half: the local set-up, and a set-up that faults are played
on.
"""

import abc
from types import TracebackType
from typing import Self

from broadsheet_local.embedded.data_folder import DISK_IS_FULL, DataFolder
from broadsheet_local.errors import LaunchError


class StartedWhole(abc.ABC):
    """An async context: all of it runs inside, nothing of it afterwards."""

    folder: DataFolder

    @abc.abstractmethod
    async def _start(self) -> None: ...

    @abc.abstractmethod
    async def _stop(self) -> None: ...

    async def __aenter__(self) -> Self:
        self.folder.acquire()
        try:
            await self._start()
        except OSError as error:
            await self._stop()
            if error.filename is None and error.errno not in DISK_IS_FULL:
                raise  # not about a file: a bug of ours
            raise LaunchError(self.folder.why_not_written(error)) from error
        except BaseException:
            # Also when it was cancelled or interrupted: the processes that did start would outlive this one.
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
