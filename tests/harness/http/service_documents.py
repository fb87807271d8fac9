"""The services' own OpenAPI documents, as they serve them, without anything running behind."""

from functools import cache
from typing import Any

from litestar import Litestar
from litestar.serialization import decode_json, encode_json

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.process.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_delivery.app import create_app as create_delivery_app
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_gateway.forwarding.route_table import RouteOwner
from broadsheet_gateway.own_api.app import OwnApi
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_publishing.app import create_app as create_publishing_app
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.app import create_app as create_subscriptions_app
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, SECOND_FACTOR_KEYS, SECRET_ENCRYPTION_KEYS, identity_keys

_NOWHERE = PostgresUrl("postgresql://nobody@127.0.0.1:1/none")
_PUBLIC_URL = HttpUrl("https://news.example.com")
METHODS = ("get", "put", "post", "delete", "patch")


def _apps() -> dict[ServiceName, Litestar]:
    public_key = identity_keys()[1]
    return {
        "subscriptions": create_subscriptions_app(
            SubscriptionsSettings(
                bind_port=1,
                database_url=_NOWHERE,
                public_url=_PUBLIC_URL,
                link_signing_keys=LINK_SIGNING_KEYS,
                erasure_keys=ERASURE_KEYS,
                secret_encryption_keys=SECRET_ENCRYPTION_KEYS,
                identity_public_key=public_key,
            )
        ),
        "publishing": create_publishing_app(
            PublishingSettings(
                bind_port=1, database_url=_NOWHERE, public_url=_PUBLIC_URL, identity_public_key=public_key
            )
        ),
        "delivery": create_delivery_app(
            DeliverySettings(
                bind_port=1,
                database_url=_NOWHERE,
                public_url=_PUBLIC_URL,
                identity_public_key=public_key,
                link_signing_keys=LINK_SIGNING_KEYS,
                erasure_keys=ERASURE_KEYS,
                mail_from="Broadsheet <newsletter@example.com>",
                postmark_base_url=HttpUrl("http://127.0.0.1:1"),
                postmark_server_token=Secret("nobody"),
            )
        ),
    }


@cache
def service_documents() -> dict[ServiceName, dict[str, Any]]:
    return {name: decode_json(encode_json(app.openapi_schema.to_schema())) for name, app in _apps().items()}


@cache
def own_api() -> OwnApi:
    """The gateway's own part of the API."""
    settings = GatewaySettings(
        broadsheet_env="local",
        bind_port=1,
        database_url=_NOWHERE,
        public_url=_PUBLIC_URL,
        redis_url=RedisUrl.parse("redis://127.0.0.1:1"),
        subscriptions_url=_PUBLIC_URL,
        publishing_url=_PUBLIC_URL,
        delivery_url=_PUBLIC_URL,
        identity_private_key=Secret(identity_keys()[0]),
        second_factor_keys=SECOND_FACTOR_KEYS,
    )
    app = create_gateway_app(settings)
    found: OwnApi = app.state.own_api
    return found


def route_apps() -> dict[RouteOwner, Litestar]:
    """The applications whose routes are the public API: the services, and the gateway's own part."""
    apps: dict[RouteOwner, Litestar] = {"gateway": own_api().app}
    return apps | {service: app for service, app in _apps().items()}  # noqa: C416  # wider keys


def methods_by_path() -> dict[tuple[RouteOwner, str], frozenset[str]]:
    """By owner and path template, as the documents name it."""
    documents: dict[RouteOwner, dict[str, Any]] = {"gateway": own_api().document()}
    documents |= {service: document for service, document in service_documents().items()}  # noqa: C416  # wider keys
    return {
        (owner, path): frozenset(method.upper() for method in item if method in METHODS)
        for owner, document in documents.items()
        for path, item in document["paths"].items()
    }
