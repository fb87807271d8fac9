"""What people put into the queue: a message to try an endpoint with, and one that was settled once more."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_subscriptions.webhooks.endpoints.change_endpoint import NO_SUCH_ENDPOINT
from broadsheet_subscriptions.webhooks.endpoints.store import find_endpoint
from broadsheet_subscriptions.webhooks.log import store
from broadsheet_subscriptions.webhooks.log.store import DeliveryRow

NO_SUCH_DELIVERY = "There is no such webhook delivery."


class NotToBeToldError(ConflictError):
    slug, title = "webhook-cancelled", "This delivery was cancelled: it is about somebody who was removed"


async def queue_test(connection: AsyncConnection, endpoint_id: int) -> DeliveryRow:
    """One attempt, whether the endpoint is enabled or not. Raises `NotFoundError`."""
    if await find_endpoint(connection, endpoint_id) is None:
        raise NotFoundError(NO_SUCH_ENDPOINT)
    return await store.queue_test(connection, endpoint_id=endpoint_id)


async def retry_delivery(connection: AsyncConnection, delivery_id: int) -> DeliveryRow:
    """Due at once, with the same webhook-id and the whole schedule of retries before it again.

    Raises:
        NotFoundError: there is no such delivery, or its endpoint is gone.
        NotToBeToldError: it must not leave any more.
    """
    found = await store.find_delivery(connection, delivery_id, lock=True)
    if found is None:
        raise NotFoundError(NO_SUCH_DELIVERY)
    if found.status == "cancelled":
        raise NotToBeToldError
    return await store.make_due(connection, delivery_id)
