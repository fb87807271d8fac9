"""Follow a confirmation link: show what it refers to, or confirm. Confirming again succeeds."""

from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.lift_request import enqueue_lift
from broadsheet_common.contracts.queue import enqueue_welcome_mail
from broadsheet_common.http.problems import ProblemError
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_token import TOKEN_CHARS_MAX, hash_token
from broadsheet_subscriptions.subscribers.change_source import begin_change
from broadsheet_subscriptions.subscribers.linked_subscription import LinkedSubscription
from broadsheet_subscriptions.subscribers.subscription import state_after_confirmation

WELCOME_EXPIRES_IN: Final = timedelta(days=3)
"""Nobody wants to be welcomed later."""


class UnknownTokenError(ProblemError):
    slug, title, status = "unknown-token", "This link is not known, or is too old", 401


async def look_up_confirmation(connection: AsyncConnection, token: str) -> LinkedSubscription:
    """What the link refers to. Changes nothing. Raises `UnknownTokenError`."""
    return await _find(connection, token, lock=False)


async def confirm(connection: AsyncConnection, token: str, evidence: Evidence) -> LinkedSubscription:
    """Make the subscription confirmed, in the caller's transaction. Raises `UnknownTokenError`.

    Where the address is suppressed, delivery is asked in the same transaction to have that lifted. Who was never
    confirmed on this newsletter before gets its welcome mail.
    """
    await begin_change(connection, "link")
    linked = await _find(connection, token, lock=True)
    if linked.state == "confirmed":
        return linked
    is_first = await store.set_confirmed(
        connection, subscription_id=linked.id, token_hash=hash_token(token), evidence=evidence
    )
    if linked.suppressed is not None:
        await enqueue_lift(connection, email_key=linked.email_key, newsletter_ids=[linked.newsletter_id])
    if is_first:
        await enqueue_welcome_mail(
            connection,
            newsletter_id=linked.newsletter_id,
            subscriber_id=linked.subscriber_id,
            expires_in=WELCOME_EXPIRES_IN,
        )
    return msgspec.structs.replace(linked, state="confirmed")


async def _find(connection: AsyncConnection, token: str, *, lock: bool) -> LinkedSubscription:
    if not token or len(token) > TOKEN_CHARS_MAX:
        raise UnknownTokenError
    linked = await store.find_by_token(connection, hash_token(token), lock=lock)
    if linked is None or state_after_confirmation(linked.state) is None:
        raise UnknownTokenError
    return linked
