"""A subscriber as the API shows it, kept to the newsletters that the caller may see."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background.shared_calls import SharedCalls
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import ForbiddenError, NotFoundError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.process.database import reading
from broadsheet_subscriptions.attributes.attribute import AttributeValue
from broadsheet_subscriptions.subscribers import store
from broadsheet_subscriptions.subscribers.address_flags import AddressFlag, flags_of
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.suppression import Suppression

READS_MAX: Final = 3
"""Statements of the reads of single subscribers at once: one, unless it takes longer than `LATE_S`."""
LATE_S: Final = 0.05


class Subscription(msgspec.Struct, frozen=True):
    """`import_id`: the import that created or confirmed it; its `consent_basis` says why mail may be sent.
    `confirmation_queued_at`: when the last mail about it, which asks to confirm unless it is confirmed, was queued.
    `suppressed`: the address is suppressed, so no issue is sent, whatever the state (see `GET
    /api/v1/suppressions`).
    """

    newsletter_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    import_id: int | None
    confirmation_queued_at: datetime | None
    suppressed: Suppression | None


class Subscriber(msgspec.Struct, frozen=True):
    """`flags`: hints about the address: `role` (an office's, not a person's) or `disposable`."""

    id: int
    email: str
    name: str
    created_at: datetime
    attributes: dict[str, AttributeValue]
    tags: list[str]
    subscriptions: list[Subscription]
    flags: tuple[AddressFlag, ...]


def allowed_newsletters(identity: Identity, permission: Permission, newsletter_id: int | None) -> frozenset[int] | None:
    """The newsletters whose subscriptions may be seen; None: all.

    Raises ForbiddenError if the permission is held for some newsletters only and the request names none of them:
    left out, it would mean all of them or the default one.
    """
    allowed = identity.newsletters_with(permission)
    if allowed is not None and newsletter_id is None:
        raise ForbiddenError("`newsletter_id` must name a newsletter that you may work on.")
    if newsletter_id is not None:
        identity.require_for(permission, newsletter_id)
    return allowed


async def show_subscriber(
    connection: AsyncConnection, subscriber_id: int, *, allowed: frozenset[int] | None
) -> Subscriber:
    """Raises NotFoundError also for a subscriber without a subscription to one of the `allowed` newsletters."""
    shown = await store.read_shown(connection, [subscriber_id])
    return _found(shown.get(subscriber_id), allowed=allowed)


class SubscriberReader:
    """`show_subscriber` for requests that do nothing else. Those that arrive while others are read are read together,
    in one statement.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reads: SharedCalls[int, store.Shown | None] = SharedCalls(
            self._read_all, calls_max=READS_MAX, late_s=LATE_S, size_max=store.FEW
        )

    async def show(self, subscriber_id: int, *, allowed: frozenset[int] | None) -> Subscriber:
        """Raises NotFoundError as `show_subscriber` does."""
        return _found(await self._reads.ask(subscriber_id), allowed=allowed)

    async def _read_all(self, subscriber_ids: Sequence[int]) -> list[store.Shown | None]:
        async with reading(self._engine) as connection:
            shown = await store.read_shown(connection, subscriber_ids)
        return [shown.get(subscriber_id) for subscriber_id in subscriber_ids]


async def show_subscribers(
    connection: AsyncConnection, subscriber_ids: Sequence[int], *, allowed: frozenset[int] | None
) -> list[Subscriber]:
    """In the order given; subscribers that do not exist any more are left out, and so are subscriptions to other
    newsletters than the `allowed` ones, if any are given.
    """
    if not subscriber_ids:
        return []
    shown = await store.read_shown(connection, subscriber_ids)
    return [
        _shown(*shown[subscriber_id], allowed=allowed) for subscriber_id in subscriber_ids if subscriber_id in shown
    ]


def _found(shown: store.Shown | None, *, allowed: frozenset[int] | None) -> Subscriber:
    subscriber = None if shown is None else _shown(*shown, allowed=allowed)
    if subscriber is None or (allowed is not None and not subscriber.subscriptions):
        raise NotFoundError("There is no such subscriber.")
    return subscriber


def _shown(
    person: store.DetailsRow, held: Sequence[store.SubscriptionRow], *, allowed: frozenset[int] | None
) -> Subscriber:
    return Subscriber(
        id=person.id,
        email=person.email,
        name=person.name,
        created_at=person.created_at,
        attributes=person.attributes,
        tags=person.tags,
        subscriptions=[
            Subscription(
                one.newsletter_id,
                one.state,
                one.created_at,
                one.confirmed_at,
                one.unsubscribed_at,
                one.import_id,
                one.confirmation_queued_at,
                one.suppressed,
            )
            for one in held
            if allowed is None or one.newsletter_id in allowed
        ],
        flags=flags_of(EmailAddress(person.email)),
    )
