"""What follows from an answer, and when the next attempt is made."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_subscriptions.webhooks.sending.answer import (
    ANSWER_KEPT_CHARS_MAX,
    Answered,
    Delivered,
    EndpointGone,
    Failed,
    NotAnswered,
    RetryIn,
    judge,
    shown_answer,
)
from broadsheet_subscriptions.webhooks.sending.retry_schedule import ATTEMPTS_MAX, wait_before_next_s

SUGGESTED_S = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]


def answered(status: int, *, retry_after_s: float | None = None) -> Answered:
    return Answered(status, b"", retry_after_s)


@given(st.integers())
def test_the_waits_are_those_that_standard_webhooks_suggests_and_a_fifth_longer_at_most(seed: int) -> None:
    random = Random(seed)
    waits = [wait_before_next_s(attempts, random) for attempts in range(1, ATTEMPTS_MAX)]
    assert len(waits) == len(SUGGESTED_S)
    for wait_s, suggested_s in zip(waits, SUGGESTED_S, strict=True):
        assert wait_s is not None
        assert suggested_s <= wait_s <= suggested_s * 1.2


def test_after_the_last_attempt_there_is_none() -> None:
    assert wait_before_next_s(ATTEMPTS_MAX, Random(1)) is None
    assert wait_before_next_s(ATTEMPTS_MAX + 5, Random(1)) is None


def test_what_the_receiver_asks_for_is_honoured_up_to_a_day() -> None:
    assert wait_before_next_s(1, Random(1), retry_after_s=600) == 600
    assert wait_before_next_s(1, Random(1), retry_after_s=10**8) == 86_400
    longer = wait_before_next_s(4, Random(1), retry_after_s=1)
    assert longer is not None
    assert longer >= 7_200


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert judge(answered(status), attempts=1, retried=True, random=Random(1)) == Delivered()


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 502, 503, 504])
def test_anything_else_is_tried_again_redirects_too(status: int) -> None:
    assert isinstance(judge(answered(status), attempts=1, retried=True, random=Random(1)), RetryIn)


def test_no_answer_is_tried_again_until_the_last_attempt() -> None:
    silence = NotAnswered("timed_out")
    assert isinstance(judge(silence, attempts=ATTEMPTS_MAX - 1, retried=True, random=Random(1)), RetryIn)
    assert judge(silence, attempts=ATTEMPTS_MAX, retried=True, random=Random(1)) == Failed()


def test_410_is_the_end_of_the_endpoint() -> None:
    assert judge(answered(410), attempts=1, retried=True, random=Random(1)) == EndpointGone()


def test_a_test_is_sent_once() -> None:
    assert judge(answered(500), attempts=1, retried=False, random=Random(1)) == Failed()


def test_an_answer_is_kept_without_addresses_and_tokens() -> None:
    shown = shown_answer(b'{"email": "ada@example.com", "key": "sk_live_0123456789abcdef0123456789"}')
    assert "ada" not in shown
    assert "0123456789" not in shown
    assert "email" in shown


@given(st.binary(max_size=5_000))
def test_any_answer_can_be_kept(body: bytes) -> None:
    shown = shown_answer(body)
    assert len(shown) <= ANSWER_KEPT_CHARS_MAX
    assert "\x00" not in shown
    shown.encode()
