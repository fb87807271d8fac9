"""The results of a run of chaos: by seed, by fault, and in total. Pure."""

from collections.abc import Iterable, Sequence

import msgspec


class SeedResult(msgspec.Struct, frozen=True):
    """One scenario with one seed. `problems` empty means that everything held."""

    fault: str
    seed: int
    lost: int
    duplicates: int
    unsettled: int
    recovery_seconds: float | None
    problems: tuple[str, ...]
    note: str = ""

    @property
    def holds(self) -> bool:
        return not (self.problems or self.lost or self.duplicates or self.unsettled)


class FaultResult(msgspec.Struct, frozen=True):
    """All seeds of one fault. `worst_recovery_seconds` is null where the table gives no recovery."""

    name: str
    seeds: int
    lost: int
    duplicates: int
    unsettled: int
    worst_recovery_seconds: float | None
    failed_seeds: tuple[int, ...]
    bound: str
    note: str


class ChaosResult(msgspec.Struct, frozen=True):
    """The last line of `--json`. `scenarios` counts faults, `seeds` the seeds that each was played with."""

    scenarios: int
    seeds: int
    lost: int
    duplicates: int
    unsettled: int
    worst_recovery_seconds: float | None
    failed: int
    elapsed_seconds: float
    shortened_settings: dict[str, str]
    faults: tuple[FaultResult, ...]

    @property
    def holds(self) -> bool:
        """At least one scenario was played, and none failed."""
        return self.failed == self.lost == self.duplicates == self.unsettled == 0 and self.scenarios > 0


def summarise_fault(name: str, results: Sequence[SeedResult], *, bound: str, note: str) -> FaultResult:
    notes = dict.fromkeys(text for text in [note, *(one.note for one in results)] if text)
    return FaultResult(
        name=name,
        seeds=len(results),
        lost=sum(one.lost for one in results),
        duplicates=sum(one.duplicates for one in results),
        unsettled=sum(one.unsettled for one in results),
        worst_recovery_seconds=worst(one.recovery_seconds for one in results),
        failed_seeds=tuple(sorted(one.seed for one in results if not one.holds)),
        bound=bound,
        note="; ".join(notes),
    )


def summarise(
    faults: Sequence[FaultResult], *, seeds: int, elapsed_seconds: float, settings: dict[str, str]
) -> ChaosResult:
    return ChaosResult(
        scenarios=len(faults),
        seeds=seeds,
        lost=sum(one.lost for one in faults),
        duplicates=sum(one.duplicates for one in faults),
        unsettled=sum(one.unsettled for one in faults),
        worst_recovery_seconds=worst(one.worst_recovery_seconds for one in faults),
        failed=sum(len(one.failed_seeds) for one in faults),
        elapsed_seconds=round(elapsed_seconds, 1),
        shortened_settings=settings,
        faults=tuple(faults),
    )


def worst(values: Iterable[float | None]) -> float | None:
    """The largest, rounded for people; None when there is none."""
    known = [value for value in values if value is not None]
    return round(max(known), 2) if known else None
