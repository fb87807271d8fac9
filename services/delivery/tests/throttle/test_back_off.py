"""Waits: they grow, stay within their bounds, and differ between replicas."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.throttle.back_off import retry_wait_s, search_wait_s, shared_wait_s


@given(st.integers(0, 10_000), st.integers())
def test_every_wait_is_positive_and_bounded(failures: int, seed: int) -> None:
    random = Random(seed)
    assert 0 < retry_wait_s(failures, random) <= 60
    assert 0 < search_wait_s(failures, random) <= 60
    assert 0 < shared_wait_s(failures, random) <= 30


def test_waits_grow() -> None:
    assert retry_wait_s(6, Random(1)) > retry_wait_s(0, Random(1)) * 10


def test_two_replicas_do_not_come_back_together() -> None:
    assert retry_wait_s(5, Random(1)) != retry_wait_s(5, Random(2))


def test_what_postmark_asks_for_is_the_least() -> None:
    assert retry_wait_s(0, Random(1), retry_after_s=45.0) == 45.0
    assert shared_wait_s(0, Random(1), retry_after_s=45.0) == 45.0
