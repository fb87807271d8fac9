"""Add an endpoint, with its own signing secret, which is shown once."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError
from broadsheet_subscriptions.webhooks.endpoints import store
from broadsheet_subscriptions.webhooks.endpoints.endpoint import ENDPOINTS_MAX, SECRETS_MAX, Endpoint, secret_purpose
from broadsheet_subscriptions.webhooks.endpoints.endpoint_fields import EndpointFields
from broadsheet_subscriptions.webhooks.sending.signature import SigningSecret


class TooManyEndpointsError(ConflictError):
    slug, title = "too-many-webhook-endpoints", f"There are {ENDPOINTS_MAX} webhook endpoints already"


async def create_endpoint(
    connection: AsyncConnection, fields: EndpointFields, *, box: SecretBox
) -> tuple[Endpoint, SigningSecret]:
    """Runs in the caller's transaction.

    Raises:
        InvalidInputError: one of its newsletters does not exist.
        TooManyEndpointsError: there are ENDPOINTS_MAX already.
    """
    await require_newsletters(connection, fields.newsletter_ids)
    if await store.count_endpoints(connection) >= ENDPOINTS_MAX:
        raise TooManyEndpointsError
    endpoint = await store.insert_endpoint(connection, fields)
    secret = SigningSecret.generate()
    await store.add_secret(
        connection,
        endpoint_id=endpoint.id,
        sealed=box.seal(secret.reveal(), purpose=secret_purpose(endpoint.id)),
        overlap=timedelta(0),
        secrets_max=SECRETS_MAX,
    )
    return endpoint, secret


async def require_newsletters(connection: AsyncConnection, newsletter_ids: list[int] | None) -> None:
    """Raises `InvalidInputError` that names each newsletter that does not exist."""
    if newsletter_ids is not None and (unknown := await store.unknown_newsletters(connection, newsletter_ids)):
        detail = "There is no such newsletter: " + ", ".join(map(str, unknown))
        raise InvalidInputError(errors=(FieldProblem(pointer="/newsletter_ids", detail=detail),))
