"""Waits that grow with each failure, jittered so that replicas do not come back together; pure."""

from random import Random
from typing import Final

_RETRY_BASE_S: Final = 1.0
_RETRY_MAX_S: Final = 60.0
_SEARCH_BASE_S: Final = 1.0
_SEARCH_MAX_S: Final = 60.0
_PARKED_S: Final = 600.0
_SHARED_BASE_S: Final = 0.5
_SHARED_MAX_S: Final = 30.0
_DOUBLINGS_MAX: Final = 16


def _grown_s(base_s: float, max_s: float, failures: int) -> float:
    return min(max_s, base_s * 2.0 ** min(failures, _DOUBLINGS_MAX))


def _jittered_s(wait_s: float, random: Random) -> float:
    """Between half of the wait and all of it."""
    return wait_s * (0.5 + random.random() / 2)


def retry_wait_s(failures: int, random: Random, *, retry_after_s: float | None = None) -> float:
    """Before a chunk or mail that was certainly not sent is tried again. Retry-After is honoured."""
    wait_s = _jittered_s(_grown_s(_RETRY_BASE_S, _RETRY_MAX_S, failures), random)
    return max(wait_s, retry_after_s or 0.0)


def search_wait_s(searches: int, random: Random) -> float:
    """Before the search is asked again about an uncertain call."""
    return _jittered_s(_grown_s(_SEARCH_BASE_S, _SEARCH_MAX_S, searches), random)


def parked_wait_s(random: Random) -> float:
    """Before the search is asked again about a parked call."""
    return _jittered_s(_PARKED_S, random)


def shared_wait_s(rounds: int, random: Random, *, retry_after_s: float | None = None) -> float:
    """How long no replica starts a call after Postmark was unreachable or answered 429."""
    wait_s = _jittered_s(_grown_s(_SHARED_BASE_S, _SHARED_MAX_S, rounds), random)
    return max(wait_s, retry_after_s or 0.0)
