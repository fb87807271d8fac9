"""Give an endpoint a new signing secret. The previous one still signs for a while, together with the new one."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.http.problems import NotFoundError
from broadsheet_subscriptions.webhooks.endpoints import store
from broadsheet_subscriptions.webhooks.endpoints.change_endpoint import NO_SUCH_ENDPOINT
from broadsheet_subscriptions.webhooks.endpoints.endpoint import SECRETS_MAX, secret_purpose
from broadsheet_subscriptions.webhooks.sending.signature import SigningSecret


async def rotate_secret(
    connection: AsyncConnection, endpoint_id: int, *, overlap: timedelta, box: SecretBox
) -> SigningSecret:
    """Runs in the caller's transaction. Raises `NotFoundError`."""
    if await store.find_endpoint(connection, endpoint_id, lock=True) is None:
        raise NotFoundError(NO_SUCH_ENDPOINT)
    secret = SigningSecret.generate()
    await store.add_secret(
        connection,
        endpoint_id=endpoint_id,
        sealed=box.seal(secret.reveal(), purpose=secret_purpose(endpoint_id)),
        overlap=overlap,
        secrets_max=SECRETS_MAX,
    )
    return secret
