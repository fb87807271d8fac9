"""The recipient of a delivery, as the claim finds it. Pure."""

from collections.abc import Mapping

import msgspec

from broadsheet_common.mail.merge_fields import AttributeValue
from broadsheet_delivery.queue.outcome import Excluded, Outcome, Suppressed


class UsedValues(msgspec.Struct, frozen=True):
    """What an issue's templates use of a recipient besides name and address: only that is read."""

    tags: bool = False
    attributes: tuple[str, ...] = ()
    """Their names."""

    def __bool__(self) -> bool:
        return self.tags or bool(self.attributes)


NOTHING_USED = UsedValues()


class Recipient(msgspec.Struct, frozen=True):
    """A delivery without an outcome, and its subscriber's current data. All None: the subscriber was erased.

    `tags` and `attributes` are empty unless they are among the `UsedValues`.
    """

    seq: int
    subscriber_id: int
    subscription_id: int | None
    email: str | None
    name: str | None
    state: str | None
    suppression_reason: str | None
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeValue] = {}


def sendability(state: str | None, suppression_reason: str | None) -> Outcome | None:
    """Why a recipient must not be sent to now; None if they may."""
    if state is None:
        return Excluded("The subscriber was erased.")
    if state != "confirmed":
        return Excluded(f"The subscription is {state}.")
    if suppression_reason is not None:
        return Suppressed(suppression_reason)
    return None
