"""The closing check: who should have got the issue against who did, by the sandbox's log."""

from collections import Counter
from collections.abc import Iterable

import msgspec

SHOWN_MAX = 5


class Verdict(msgspec.Struct, frozen=True):
    """Numbers over all; the few addresses are for the report."""

    accepted: int
    missing: int
    duplicates: int
    strangers: int
    missing_shown: tuple[str, ...]
    duplicates_shown: tuple[str, ...]


def compare(expected: frozenset[str], delivered: Iterable[str]) -> Verdict:
    """`accepted` counts messages, `duplicates` those beyond a recipient's first, `strangers` recipients that
    should have got nothing. Addresses are in the form in which they were signed up.
    """
    got = Counter(delivered)
    missing = sorted(expected - got.keys())
    repeated = sorted(address for address, count in got.items() if count > 1)
    return Verdict(
        accepted=got.total(),
        missing=len(missing),
        duplicates=got.total() - len(got),
        strangers=len(got.keys() - expected),
        missing_shown=tuple(missing[:SHOWN_MAX]),
        duplicates_shown=tuple(repeated[:SHOWN_MAX]),
    )
