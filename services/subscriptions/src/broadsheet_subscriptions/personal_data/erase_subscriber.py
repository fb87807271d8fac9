"""Erases a person in one transaction: removes all of this service's rows, and tells delivery in the same commit.

What stays: a keyed hash of each address, so that a suppressed address is suppressed again if somebody enters it
again; the numbers, outcomes and times of deliveries, which the counts depend on; and a record that this
subscriber number was erased, and at whose request. Repeating it succeeds again.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import enqueue_erasure
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_subscriptions.personal_data import store
from broadsheet_subscriptions.personal_data.store import Erased
from broadsheet_subscriptions.personal_data.waiting_files import forget_in_waiting_files
from broadsheet_subscriptions.subscribers.change_source import name_change_source

BY_THEMSELVES = "subscriber"

_log = structlog.get_logger()


class AddressChangesNowError(ConflictError):
    title = "The subscriber's address is being changed at this moment"


async def erase_subscriber(
    connection: AsyncConnection, hasher: AddressHasher, *, subscriber_id: int, requested_by: str
) -> Erased:
    """`requested_by`: the API's caller, or `BY_THEMSELVES`.

    Raises:
        NotFoundError: there is no such subscriber and never was.
        AddressChangesNowError: try again.
    """
    if (known_key := await store.find_address_key(connection, subscriber_id, lock=False)) is None:
        return await _erased_before(connection, subscriber_id)
    # Postmark's reports about people and the counts of mails are locked before subscribers: the lock order used
    # everywhere.
    own_keys = await store.list_address_keys(connection, subscriber_id, with_asked_for=False)
    await store.delete_unreferring(connection, subscriber_id=subscriber_id, email_keys=own_keys)
    locked_key = await store.find_address_key(connection, subscriber_id, lock=True)
    if locked_key is None:
        return await _erased_before(connection, subscriber_id)
    if locked_key != known_key:
        raise AddressChangesNowError
    email_keys = await store.list_address_keys(connection, subscriber_id, with_asked_for=True)
    await store.delete_requests_of_others(connection, email_keys)
    await store.forget_answers(connection, email_keys)
    await store.forget_in_segments(connection, email_keys)
    await forget_in_waiting_files(connection, email_keys)
    await name_change_source(connection, "erasure")
    await store.delete_subscriber(connection, subscriber_id, requested_by=requested_by)
    for key in email_keys:
        await enqueue_erasure(connection, hasher, subscriber_id=subscriber_id, email_key=key)
    _log.info("subscriptions.person_erased", subscriber_id=subscriber_id)
    return await _erased_before(connection, subscriber_id)


async def _erased_before(connection: AsyncConnection, subscriber_id: int) -> Erased:
    found = await store.find_erasure(connection, subscriber_id)
    if found is None:
        raise NotFoundError("There is no such subscriber.")
    return found
