"""The judgement on a scenario: everything lost, doubled, unsettled or miscounted is reported, and nothing else."""

from collections.abc import Sequence

import msgspec
import pytest

from broadsheet_local.chaos.result import ChaosResult, SeedResult, summarise, summarise_fault, worst
from broadsheet_local.chaos.verdict import Ending, Expectation, Reported, identity_holds, judge
from broadsheet_local.demo.people import Counts

PEOPLE = frozenset({"ada@example.com", "bea@example.com", "cid@example.com"})
NONE = Counts(
    audience=0, pending=0, in_flight=0, accepted=0, failed=0, suppressed=0, excluded=0, uncertain=0, cancelled=0
)


def counts(**numbers: int) -> Counts:
    return msgspec.structs.replace(NONE, audience=sum(numbers.values()), **numbers)


def sent(**numbers: int) -> Reported:
    return Reported("sent", counts(**numbers))


def test_everybody_once_holds() -> None:
    judgement = judge(Expectation(PEOPLE), sorted(PEOPLE), sent(accepted=3))
    assert judgement.holds
    assert (judgement.lost, judgement.duplicates, judgement.unsettled) == (0, 0, 0)


def test_a_lost_mail_fails_even_when_the_api_says_that_it_was_accepted() -> None:
    judgement = judge(Expectation(PEOPLE), ["ada@example.com", "bea@example.com"], sent(accepted=3))
    assert judgement.lost == 1
    assert not judgement.holds
    assert any("cid@example.com" in problem for problem in judgement.problems)
    assert any("counts 3 accepted, by the sandbox it is 2" in problem for problem in judgement.problems)


def test_a_doubled_mail_fails_even_when_the_api_counts_one() -> None:
    judgement = judge(Expectation(PEOPLE), [*PEOPLE, "ada@example.com", "ada@example.com"], sent(accepted=3))
    assert judgement.duplicates == 2
    assert not judgement.holds


def test_a_stranger_fails() -> None:
    judgement = judge(Expectation(PEOPLE), [*PEOPLE, "eve@example.com"], sent(accepted=3))
    assert any("outside the audience" in problem for problem in judgement.problems)


@pytest.mark.parametrize("open_state", ["pending", "in_flight", "uncertain"])
def test_what_is_open_at_the_end_is_unsettled(open_state: str) -> None:
    reported = Reported("sending", counts(accepted=2, **{open_state: 1}))
    judgement = judge(Expectation(PEOPLE), ["ada@example.com", "bea@example.com"], reported)
    assert judgement.unsettled == 1
    assert not judgement.holds


def test_a_stated_open_delivery_is_not_unsettled() -> None:
    expected = Expectation(PEOPLE, ends_as="sending", open_allowed=1)
    reported = Reported("sending", counts(accepted=2, uncertain=1))
    judgement = judge(expected, sorted(PEOPLE), reported)
    assert judgement.unsettled == 0
    assert judgement.lost == 0


@pytest.mark.parametrize("ending", ["failed", "suppressed", "excluded", "cancelled"])
def test_whom_the_fault_makes_final_is_not_lost_but_must_be_counted_so(ending: Ending) -> None:
    expected = Expectation(PEOPLE, final={"cid@example.com": ending})
    accepted = ["ada@example.com", "bea@example.com"]
    assert judge(expected, accepted, sent(accepted=2, **{ending: 1})).holds
    other = "failed" if ending != "failed" else "suppressed"
    assert not judge(expected, accepted, sent(accepted=2, **{other: 1})).holds


def test_whom_the_fault_makes_final_must_not_have_been_accepted() -> None:
    expected = Expectation(PEOPLE, final={"cid@example.com": "suppressed"})
    assert not judge(expected, sorted(PEOPLE), sent(accepted=2, suppressed=1)).holds


def test_who_left_meanwhile_may_have_it_once_or_be_excluded() -> None:
    expected = Expectation(PEOPLE, may_be_excluded=frozenset({"cid@example.com"}))
    assert judge(expected, sorted(PEOPLE), sent(accepted=3)).holds
    assert judge(expected, ["ada@example.com", "bea@example.com"], sent(accepted=2, excluded=1)).holds
    assert not judge(expected, ["ada@example.com", "bea@example.com"], sent(accepted=3)).holds
    assert judge(expected, [*PEOPLE, "cid@example.com"], sent(accepted=3)).duplicates == 1


def test_who_left_before_the_fan_out_came_may_be_missing_from_the_audience_and_nobody_else() -> None:
    accepted = ["ada@example.com", "bea@example.com"]
    expected = Expectation(PEOPLE, may_be_excluded=frozenset({"cid@example.com"}))
    assert judge(expected, accepted, sent(accepted=2)).holds
    assert not judge(Expectation(PEOPLE), accepted, sent(accepted=2)).holds
    assert not judge(expected, ["ada@example.com"], sent(accepted=1)).holds


def test_who_had_left_before_must_not_be_sent_to() -> None:
    expected = Expectation(PEOPLE, forbidden=frozenset({"cid@example.com"}))
    assert judge(expected, ["ada@example.com", "bea@example.com"], sent(accepted=2, excluded=1)).holds
    assert not judge(expected, sorted(PEOPLE), sent(accepted=2, excluded=1)).holds


def test_who_is_gone_may_be_counted_in_three_ways_but_must_get_nothing() -> None:
    expected = Expectation(PEOPLE, gone=frozenset({"cid@example.com"}))
    accepted = ["ada@example.com", "bea@example.com"]
    for reported in (sent(accepted=2), sent(accepted=2, excluded=1), sent(accepted=2, suppressed=1)):
        assert judge(expected, accepted, reported).holds
    assert not judge(expected, accepted, sent(accepted=2, excluded=1, suppressed=1)).holds
    assert not judge(expected, accepted, sent(accepted=2, failed=1)).holds
    assert not judge(expected, sorted(PEOPLE), sent(accepted=3)).holds
    assert judge(expected, ["ada@example.com"], sent(accepted=1)).lost == 1


def test_an_issue_in_another_state_fails() -> None:
    assert not judge(Expectation(PEOPLE), sorted(PEOPLE), Reported("sending", counts(accepted=3))).holds


def test_an_api_that_cannot_be_asked_fails() -> None:
    assert not judge(Expectation(PEOPLE), sorted(PEOPLE), None).holds


def test_counts_that_do_not_add_up_fail() -> None:
    wrong = msgspec.structs.replace(counts(accepted=3), audience=4)
    assert not identity_holds(wrong)
    assert not judge(Expectation(PEOPLE), sorted(PEOPLE), Reported("sent", wrong)).holds


def seed_result(number: int, *, problems: Sequence[str] = (), lost: int = 0, seconds: float | None = 1.0) -> SeedResult:
    return SeedResult("kill", number, lost, 0, 0, seconds, tuple(problems))


def summary(*results: SeedResult) -> ChaosResult:
    fault = summarise_fault("kill", results, bound="16 s", note="")
    return summarise([fault], seeds=len(results), elapsed_seconds=2.0, settings={})


def test_a_run_holds_when_every_seed_does() -> None:
    result = summary(seed_result(1, seconds=2.25), seed_result(2))
    assert result.holds
    assert result.worst_recovery_seconds == 2.25


def test_one_failed_seed_fails_the_run_and_is_named() -> None:
    result = summary(seed_result(1), seed_result(2, problems=["took 20 s, more than 16 s"]))
    assert not result.holds
    assert result.failed == 1
    assert result.faults[0].failed_seeds == (2,)


def test_one_lost_mail_fails_the_run_although_nothing_else_is_wrong() -> None:
    assert not summary(seed_result(1, lost=1)).holds


def test_a_run_without_scenarios_does_not_hold() -> None:
    assert not summarise([], seeds=0, elapsed_seconds=0.0, settings={}).holds


def test_the_worst_of_nothing_is_nothing() -> None:
    assert worst([None, None]) is None
    assert worst([None, 1.0, 3.456]) == 3.46
