"""Which tests of a run with `-n` go to the same worker: those of a file that shares something costly to start.

xdist's own `--dist loadgroup` marks them in the ids of tests, which pytest 9.2 no longer lets it change.
"""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

_FOLDERS = ("tests/browser/", "tests/architecture/", "tests/queue/")


class StayTogether(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """Tests of some folders go file by file, all others test by test; the largest groups go first."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = nodeid.partition("::")[0]
        return path if path.startswith(_FOLDERS) else nodeid
