"""The subscription that a link in a mail belongs to, as the stores read it."""

from typing import Any

import msgspec
import sqlalchemy as sa

from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_subscriptions.subscribers.subscription import State


class LinkedSubscription(msgspec.Struct, frozen=True):
    """The subscription that a link in a mail belongs to. `suppressed`: the reason why no issue is sent to its
    address, whatever the state.
    """

    id: int
    subscriber_id: int
    state: State
    newsletter_id: int
    newsletter_name: str
    email_key: str
    suppressed: SuppressionKind | None


LINKED_COLUMNS = """
    subscription.id, subscription.subscriber_id, subscription.state, newsletter.newsletter_id, newsletter.name,
    person.email_key,
    (SELECT suppressed.kind FROM delivery.published_suppressed AS suppressed
      WHERE suppressed.message_stream = newsletter.message_stream AND suppressed.email_key = person.email_key)
    AS suppressed
"""
"""Columns for a query with `subscription`, its subscriber `person` and its `newsletter`."""


def linked_subscription(row: sa.Row[Any] | None) -> LinkedSubscription | None:
    return (
        None
        if row is None
        else LinkedSubscription(
            row.id, row.subscriber_id, row.state, row.newsletter_id, row.name, row.email_key, row.suppressed
        )
    )
