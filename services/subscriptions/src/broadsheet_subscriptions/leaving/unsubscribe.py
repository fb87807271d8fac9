"""Unsubscribe: by the signed link in a mail, or by an operator. Repeating it succeeds."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.departure import enqueue_departure
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError, ProblemError
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_subscriptions.leaving import store as leaving_store
from broadsheet_subscriptions.subscribers.change_source import begin_change
from broadsheet_subscriptions.subscribers.interface import SubscriberRow, find_subscriber, list_subscriptions
from broadsheet_subscriptions.subscribers.linked_subscription import LinkedSubscription


class UnknownUnsubscribeTokenError(ProblemError):
    slug, title, status = "unknown-token", "This link is not known", 404


async def look_up_unsubscribe(connection: AsyncConnection, signer: LinkSigner, token: str) -> LinkedSubscription:
    """What the link refers to. Changes nothing. Raises `UnknownUnsubscribeTokenError`."""
    return await _find(connection, signer, token, lock=False)


async def unsubscribe_by_link(
    connection: AsyncConnection, signer: LinkSigner, token: str, *, issue_id: int | None
) -> LinkedSubscription:
    """Unsubscribe from one newsletter, in the caller's transaction. Raises `UnknownUnsubscribeTokenError`.

    `issue_id`: the issue whose mail held the link. Its report counts who left by it, and nobody who had left before.
    """
    await begin_change(connection, "link")
    linked = await _find(connection, signer, token, lock=True)
    await leaving_store.set_unsubscribed(connection, [linked.id])
    if issue_id is not None and linked.state != "unsubscribed":
        await enqueue_departure(connection, issue_id=issue_id, subscriber_id=linked.subscriber_id)
    return msgspec.structs.replace(linked, state="unsubscribed")


async def unsubscribe_all_by_link(
    connection: AsyncConnection, signer: LinkSigner, token: str, *, issue_id: int | None
) -> None:
    """Unsubscribe the subscriber the link was sent to from every newsletter, in the caller's transaction.

    Raises `UnknownUnsubscribeTokenError`.
    """
    await begin_change(connection, "link")
    linked = await _find(connection, signer, token, lock=False)
    await leaving_store.set_all_unsubscribed(connection, subscription_id=linked.id)
    if issue_id is not None and linked.state != "unsubscribed":
        await enqueue_departure(connection, issue_id=issue_id, subscriber_id=linked.subscriber_id)


async def unsubscribe_subscriber(
    connection: AsyncConnection, *, subscriber_id: int, newsletter_id: int | None
) -> SubscriberRow:
    """Unsubscribe from one newsletter or (None) every one, in the caller's transaction.

    Raises:
        NotFoundError: there is no such subscriber.
        InvalidInputError: the subscriber never subscribed to this newsletter.
    """
    await begin_change(connection, "operator")
    subscriber = await find_subscriber(connection, subscriber_id, lock=True)
    if subscriber is None:
        raise NotFoundError("There is no such subscriber.")
    subscriptions = await list_subscriptions(connection, subscriber_id)
    chosen = [item.id for item in subscriptions if newsletter_id in {None, item.newsletter_id}]
    if newsletter_id is not None and not chosen:
        problem = FieldProblem(pointer="/newsletter_id", detail="The subscriber has no subscription to it.")
        raise InvalidInputError(errors=(problem,))
    await leaving_store.set_unsubscribed(connection, chosen)
    return subscriber


async def _find(connection: AsyncConnection, signer: LinkSigner, token: str, *, lock: bool) -> LinkedSubscription:
    subscription_id = signer.verify("unsubscribe", token)
    linked = (
        await leaving_store.find_subscription(connection, subscription_id, lock=lock)
        if subscription_id is not None and subscription_id <= RECORD_ID_MAX
        else None
    )
    if linked is None:
        raise UnknownUnsubscribeTokenError
    return linked
