"""The states of a subscription, pure.

    (none) ──sign up──▶ pending ──confirm──▶ confirmed
                          ▲ │                    │
                   sign up│ └──────leave──┐      │leave
                          │               ▼      ▼
                          └────────── unsubscribed

Only the holder of a confirmation link can confirm a subscription. Leaving invalidates every link sent before, so
that coming back needs a new confirmation.
"""

from typing import Literal, assert_never

State = Literal["pending", "confirmed", "unsubscribed"]


def state_after_sign_up(state: State) -> State:
    match state:
        case "pending" | "unsubscribed":
            return "pending"
        case "confirmed":
            return "confirmed"
        case _:
            assert_never(state)


def state_after_confirmation(state: State) -> State | None:
    """None: the link was sent before the subscriber left, and has no effect any more."""
    match state:
        case "pending" | "confirmed":
            return "confirmed"
        case "unsubscribed":
            return None
        case _:
            assert_never(state)
