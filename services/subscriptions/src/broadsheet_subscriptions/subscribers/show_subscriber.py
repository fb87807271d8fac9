"""A subscriber as the API shows it, kept to the newsletters that the caller may see."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import ForbiddenError, NotFoundError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeValue
from broadsheet_subscriptions.subscribers import store
from broadsheet_subscriptions.subscribers.address_flags import AddressFlag, flags_of
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.suppression import Suppression


class Subscription(msgspec.Struct, frozen=True):
    """`import_id`: the import that created or confirmed it; its `consent_basis` says why mail may be sent.
    `suppressed`: the address is suppressed, so no issue is sent, whatever the state (see `GET
    /api/v1/suppressions`).
    """

    newsletter_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    import_id: int | None
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
    found = await show_subscribers(connection, [subscriber_id], allowed=allowed)
    if not found or (allowed is not None and not found[0].subscriptions):
        raise NotFoundError("There is no such subscriber.")
    return found[0]


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
                one.suppressed,
            )
            for one in held
            if allowed is None or one.newsletter_id in allowed
        ],
        flags=flags_of(EmailAddress(person.email)),
    )
