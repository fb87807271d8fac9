"""Deliveries that people add to the queue: a test message for an endpoint, and a settled delivery sent again."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_subscriptions.webhooks.endpoints.change_endpoint import NO_SUCH_ENDPOINT
from broadsheet_subscriptions.webhooks.endpoints.store import find_endpoint
from broadsheet_subscriptions.webhooks.log import store
from broadsheet_subscriptions.webhooks.log.store import DeliveryRow

NO_SUCH_DELIVERY = "There is no such webhook delivery."


class NotToBeToldError(ConflictError):
    slug, title = "webhook-cancelled", "This delivery was cancelled: its subscriber was removed"


async def queue_test(connection: AsyncConnection, endpoint_id: int) -> DeliveryRow:
    """Queues a test message: one attempt, whether or not the endpoint is enabled. Raises `NotFoundError`."""
    if await find_endpoint(connection, endpoint_id) is None:
        raise NotFoundError(NO_SUCH_ENDPOINT)
    return await store.queue_test(connection, endpoint_id=endpoint_id)


async def retry_delivery(connection: AsyncConnection, delivery_id: int) -> DeliveryRow:
    """Makes the delivery due at once, with the same webhook-id; its schedule of retries starts again.

    Raises:
        NotFoundError: there is no such delivery, or its endpoint was deleted.
        NotToBeToldError: it was cancelled and may not be sent any more.
    """
    found = await store.find_delivery(connection, delivery_id, lock=True)
    if found is None:
        raise NotFoundError(NO_SUCH_DELIVERY)
    if found.status == "cancelled":
        raise NotToBeToldError
    return await store.make_due(connection, delivery_id)
