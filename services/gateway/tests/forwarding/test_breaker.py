"""When a service is called, and when not: the breaker's states, one call at a time and in any order."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broadsheet_gateway.forwarding.breaker import FIRST_WAIT_S, WAIT_MAX_S, Breaker, Call, Refusal


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(failures_max=3, waiting_max=10, probe_max_s=15.0)


def admitted(breaker: Breaker, now_s: float) -> Call:
    call = breaker.admit(now_s)
    assert isinstance(call, Call)
    return call


def opened(breaker: Breaker, now_s: float) -> Breaker:
    for _ in range(3):
        breaker.failed(admitted(breaker, now_s), now_s)
    assert breaker.state(now_s) == "open"
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_an_answer_between_begins_anew(breaker: Breaker) -> None:
    for outcome in ("failed", "failed", "answered", "failed", "failed"):
        call = admitted(breaker, 0.0)
        assert (breaker.answered(call) if outcome == "answered" else breaker.failed(call, 0.0)) is False
    assert breaker.state(0.0) == "closed"
    assert breaker.failed(admitted(breaker, 0.0), 0.0) is True
    assert breaker.state(0.0) == "open"


def test_while_it_is_open_it_says_when_to_come_back(breaker: Breaker) -> None:
    opened(breaker, 100.0)
    assert breaker.admit(100.25) == Refusal("open", FIRST_WAIT_S - 0.25)


def test_one_call_tries_when_the_wait_is_over_and_its_answer_closes_it(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    probe = admitted(breaker, FIRST_WAIT_S)
    assert probe.is_probe
    assert isinstance(breaker.admit(FIRST_WAIT_S), Refusal)
    assert breaker.answered(probe) is True
    assert breaker.state(FIRST_WAIT_S) == "closed"
    assert not admitted(breaker, FIRST_WAIT_S).is_probe


def test_each_failed_try_doubles_the_wait_up_to_a_bound_and_an_answer_resets_it(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    now_s, waits = 0.0, []
    for _ in range(7):
        refusal = breaker.admit(now_s)
        assert isinstance(refusal, Refusal)
        waits.append(refusal.retry_after_s)
        now_s += refusal.retry_after_s
        assert breaker.failed(admitted(breaker, now_s), now_s) is True
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, WAIT_MAX_S, WAIT_MAX_S]
    now_s += WAIT_MAX_S
    breaker.answered(admitted(breaker, now_s))
    opened(breaker, now_s)
    assert breaker.admit(now_s) == Refusal("open", FIRST_WAIT_S)


def test_a_try_that_neither_fails_nor_is_answered_makes_room_for_the_next(breaker: Breaker) -> None:
    opened(breaker, 0.0)
    breaker.abandoned(admitted(breaker, 1.0))
    endless = admitted(breaker, 1.0)  # an upload that takes an hour
    assert isinstance(breaker.admit(15.9), Refusal)
    second = admitted(breaker, 16.0)
    assert second.is_probe
    breaker.abandoned(endless)
    assert isinstance(breaker.admit(16.1), Refusal)  # the second still tries
    breaker.answered(second)
    assert breaker.state(16.1) == "closed"


def test_calls_from_before_a_change_do_not_count_after_it(breaker: Breaker) -> None:
    late = [admitted(breaker, 0.0) for _ in range(4)]
    opened(breaker, 0.0)
    assert breaker.answered(late[0]) is False
    assert breaker.state(0.5) == "open"
    assert breaker.failed(late[1], 0.9) is False
    probe = admitted(breaker, 1.0)
    assert breaker.failed(late[2], 1.0) is False
    breaker.answered(probe)
    for call in late[3:]:
        breaker.failed(call, 1.0)
    assert breaker.state(1.0) == "closed"


def test_calls_that_wait_are_bounded_whatever_the_state(breaker: Breaker) -> None:
    calls = [admitted(breaker, 0.0) for _ in range(10)]
    assert breaker.admit(0.0) == Refusal("waiting", FIRST_WAIT_S)
    breaker.answered(calls.pop())
    calls.append(admitted(breaker, 0.0))
    assert breaker.waiting == 10


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: no more calls than may wait, one try at a time, and always a way back."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(failures_max=2, waiting_max=4, probe_max_s=5.0)
        self.now_s = 0.0
        self.calls: list[Call] = []

    @rule(more_s=st.floats(0.0, 40.0))
    def time_passes(self, more_s: float) -> None:
        self.now_s += more_s

    @rule()
    def somebody_calls(self) -> None:
        before = self.breaker.state(self.now_s)
        outcome = self.breaker.admit(self.now_s)
        if isinstance(outcome, Call):
            assert before != "open"
            assert outcome.is_probe == (before == "half_open")
            self.calls.append(outcome)
        else:
            assert 0 < outcome.retry_after_s <= WAIT_MAX_S

    @precondition(lambda self: self.calls)
    @rule(ended=st.sampled_from(["answered", "failed", "abandoned"]), data=st.data())
    def a_call_ends(self, ended: str, data: st.DataObject) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        if ended == "answered":
            self.breaker.answered(call)
        elif ended == "failed":
            self.breaker.failed(call, self.now_s)
        else:
            self.breaker.abandoned(call)

    @invariant()
    def the_count_is_right(self) -> None:
        assert self.breaker.waiting == len(self.calls) <= 4

    def teardown(self) -> None:
        """From any state a service that answers is called again."""
        for call in self.calls:
            self.breaker.abandoned(call)
        self.breaker.answered(admitted(self.breaker, self.now_s + WAIT_MAX_S))
        assert self.breaker.state(self.now_s + WAIT_MAX_S) == "closed"


TestAnyOrder = AnyOrder.TestCase
