"""Change or remove an endpoint."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import NotFoundError
from broadsheet_subscriptions.webhooks.endpoints import store
from broadsheet_subscriptions.webhooks.endpoints.create_endpoint import require_newsletters
from broadsheet_subscriptions.webhooks.endpoints.endpoint import Endpoint
from broadsheet_subscriptions.webhooks.endpoints.endpoint_fields import EndpointFields

NO_SUCH_ENDPOINT = "There is no such webhook endpoint."


async def change_endpoint(
    connection: AsyncConnection, endpoint_id: int, change: Callable[[Endpoint], EndpointFields]
) -> Endpoint:
    """Runs in the caller's transaction. The endpoint stays locked while `change` computes its new fields.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: from `change`, or a newsletter that does not exist.
    """
    before = await store.find_endpoint(connection, endpoint_id, lock=True)
    if before is None:
        raise NotFoundError(NO_SUCH_ENDPOINT)
    fields = change(before)
    if fields.newsletter_ids != before.newsletter_ids:
        await require_newsletters(connection, fields.newsletter_ids)
    await store.update_endpoint(connection, endpoint_id, fields)
    changed = await store.find_endpoint(connection, endpoint_id)
    assert changed is not None, "it is locked"
    return changed


async def delete_endpoint(connection: AsyncConnection, endpoint_id: int) -> None:
    """Runs in the caller's transaction. Raises `NotFoundError`."""
    if not await store.mark_deleted(connection, endpoint_id):
        raise NotFoundError(NO_SUCH_ENDPOINT)
