"""A subscription's states."""

import pytest

from broadsheet_subscriptions.subscribers.subscription import State, state_after_confirmation, state_after_sign_up


@pytest.mark.parametrize(
    ("state", "after"), [("pending", "pending"), ("confirmed", "confirmed"), ("unsubscribed", "pending")]
)
def test_signing_up_again(state: State, after: State) -> None:
    assert state_after_sign_up(state) == after


@pytest.mark.parametrize(
    ("state", "after"), [("pending", "confirmed"), ("confirmed", "confirmed"), ("unsubscribed", None)]
)
def test_following_a_confirmation_link(state: State, after: State | None) -> None:
    assert state_after_confirmation(state) == after
