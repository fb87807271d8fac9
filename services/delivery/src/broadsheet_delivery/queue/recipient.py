"""The recipient of a delivery, as the claim finds it. Pure."""

import msgspec

from broadsheet_delivery.queue.outcome import Excluded, Outcome, Suppressed


class Recipient(msgspec.Struct, frozen=True):
    """A delivery without an outcome, and its subscriber's current data. All None: the subscriber was erased."""

    seq: int
    subscriber_id: int
    subscription_id: int | None
    email: str | None
    name: str | None
    state: str | None
    suppression_reason: str | None


def sendability(state: str | None, suppression_reason: str | None) -> Outcome | None:
    """Why a recipient must not be sent to now; None if they may."""
    if state is None:
        return Excluded("The subscriber was erased.")
    if state != "confirmed":
        return Excluded(f"The subscription is {state}.")
    if suppression_reason is not None:
        return Suppressed(suppression_reason)
    return None
