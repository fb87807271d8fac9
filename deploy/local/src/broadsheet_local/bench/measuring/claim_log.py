"""Every claim's own time, from the delivery replicas' debug log: exact, where a histogram has buckets only."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

EVENT = "delivery.chunk_claimed"


class _Line(msgspec.Struct, frozen=True):
    event: str = ""
    timestamp: str = ""
    issue_id: int = 0
    claim_ms: float = 0.0


class ClaimTimes(msgspec.Struct, frozen=True):
    """Milliseconds over `claims` claims."""

    claims: int
    p50: float
    p99: float


def read_claims(paths: Iterable[Path], issue_id: int) -> list[float]:
    """The times of an issue's claims in milliseconds, in the order in which they ended."""
    found: list[tuple[str, float]] = []
    for path in paths:
        for raw in path.read_bytes().splitlines():
            if EVENT.encode() not in raw:
                continue
            line = msgspec.json.decode(raw, type=_Line)
            if line.event == EVENT and line.issue_id == issue_id:
                found.append((line.timestamp, line.claim_ms))
    return [claim_ms for _, claim_ms in sorted(found)]


def claim_times(claims_ms: Sequence[float]) -> ClaimTimes | None:
    """None when there were no claims."""
    if not claims_ms:
        return None
    return ClaimTimes(len(claims_ms), round(percentile(claims_ms, 50), 2), round(percentile(claims_ms, 99), 2))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank); one value at least."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
