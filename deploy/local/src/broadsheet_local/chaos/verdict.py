"""The judgement on one issue of a scenario: compares who should have got it with whom the sandbox accepted it for.
Pure.

The sandbox's log is the oracle. The API's report is never evidence of what was sent: it is itself judged by the
log.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from broadsheet_local.demo.people import Counts

SHOWN_MAX = 5

Ending = Literal["failed", "suppressed", "excluded", "cancelled"]


class Expectation(msgspec.Struct, frozen=True):
    """The result that a scenario expects of an issue.

    `audience`: everybody confirmed when it was published. `final`: recipients whom the fault itself makes final
    without a mail, with their outcome. `may_be_excluded`: people who unsubscribed while it was sent: they get it
    once; or not at all, and are then counted as excluded, or are not in the audience because the fan-out had not
    reached them. `forbidden`: people who must get nothing and are counted as excluded. `gone`: people who must
    get nothing either, and may be counted as suppressed, as excluded, or not at all (a complaint suppresses an
    address and ends a subscription at different moments). `ends_as`: the state the issue must be in.
    `open_allowed`: deliveries that may stay unsettled, as the scenario states.
    """

    audience: frozenset[str]
    final: Mapping[str, Ending] = {}
    may_be_excluded: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    ends_as: str = "sent"
    open_allowed: int = 0


class Reported(msgspec.Struct, frozen=True):
    """The API's report on the issue at the end."""

    status: str
    counts: Counts


class Judgement(msgspec.Struct, frozen=True):
    """`lost`, `duplicates` and `unsettled` count deliveries; `problems` describes everything that does not hold."""

    lost: int
    duplicates: int
    unsettled: int
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problems


def judge(expected: Expectation, accepted: Iterable[str], reported: Reported | None) -> Judgement:
    """`accepted`: the recipient of every message of the issue that the sandbox accepted, one entry a message."""
    got = Counter(accepted)
    problems: list[str] = []
    due = expected.audience - expected.final.keys() - expected.may_be_excluded - expected.forbidden - expected.gone
    lost = sorted(due - got.keys())
    repeated = sorted(address for address, count in got.items() if count > 1)
    duplicates = got.total() - len(got)
    strangers = sorted(got.keys() - expected.audience)
    sent_though_final = sorted(got.keys() & expected.final.keys())
    sent_though_forbidden = sorted(got.keys() & (expected.forbidden | expected.gone))
    for what, whom in (
        ("lost", lost),
        ("sent twice or more", repeated),
        ("sent to people outside the audience", strangers),
        ("accepted although the fault made them final", sent_though_final),
        ("sent to although they had unsubscribed before", sent_though_forbidden),
    ):
        if whom:
            problems.append(f"{len(whom)} {what}: {', '.join(whom[:SHOWN_MAX])}")
    unsettled = 0
    if reported is None:
        problems.append("the API could not be asked about the issue at the end")
    else:
        counts = reported.counts
        unsettled = max(0, counts.pending + counts.in_flight + counts.uncertain - expected.open_allowed)
        if unsettled:
            problems.append(f"{unsettled} unsettled: {counts}")
        problems += _compare(expected, got, reported)
    return Judgement(len(lost), duplicates, unsettled, tuple(problems))


def identity_holds(counts: Counts) -> bool:
    """The accounting identity: the last eight add up to the first."""
    return counts.audience == counts.settled + counts.pending + counts.in_flight + counts.uncertain


def _compare(expected: Expectation, got: Counter[str], reported: Reported) -> list[str]:
    """I4: compares the API's counts with the oracle's."""
    counts = reported.counts
    endings = Counter(expected.final.values())
    left = expected.forbidden | (expected.may_be_excluded - got.keys())
    # Somebody who unsubscribes before the fan-out reaches them is not enqueued, and so not in the audience.
    never_enqueued = min(max(0, len(expected.audience) - counts.audience), len(expected.may_be_excluded - got.keys()))
    should_be = {
        "audience": len(expected.audience) - never_enqueued,
        "accepted": len(got),
        "failed": endings["failed"],
        "suppressed": endings["suppressed"],
        "excluded": endings["excluded"] + len(left) - never_enqueued,
        "cancelled": endings["cancelled"],
    }
    if expected.gone:
        _count_gone(should_be, counts, len(expected.gone))
    problems = [
        f"the API counts {getattr(counts, name)} {name}, by the sandbox it is {number}"
        for name, number in should_be.items()
        if getattr(counts, name) != number
    ]
    if not identity_holds(counts):
        problems.append(f"the counts do not add up: {counts}")
    if reported.status != expected.ends_as:
        problems.append(f"the issue is {reported.status}, not {expected.ends_as}")
    return problems


def _count_gone(should_be: dict[str, int], counts: Counts, gone: int) -> None:
    """Accept any outcome that the API reports for those in `gone`, as long as each of them is counted once or not at
    all.
    """
    suppressed = min(gone, max(0, counts.suppressed - should_be["suppressed"]))
    excluded = min(gone - suppressed, max(0, counts.excluded - should_be["excluded"]))
    should_be["suppressed"] += suppressed
    should_be["excluded"] += excluded
    should_be["audience"] -= gone - suppressed - excluded
