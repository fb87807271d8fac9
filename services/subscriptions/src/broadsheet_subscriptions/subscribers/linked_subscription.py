"""What a link in a mail leads to, as the stores read it."""

import msgspec
import sqlalchemy as sa

from broadsheet_subscriptions.subscribers.subscription import State


class LinkedSubscription(msgspec.Struct, frozen=True):
    """What a link in a mail leads to."""

    id: int
    state: State
    newsletter_id: int
    newsletter_name: str


def linked_subscription(row: sa.Row[tuple[int, State, int, str]] | None) -> LinkedSubscription | None:
    return None if row is None else LinkedSubscription(row.id, row.state, row.newsletter_id, row.name)
