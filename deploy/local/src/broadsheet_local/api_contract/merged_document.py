"""The public API document, made of the services' wiring without anything running behind it."""

import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from litestar import Litestar

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.http.route_rules import served_document
from broadsheet_common.process.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_delivery.app import create_app as create_delivery_app
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_gateway.api_docs.merge_openapi import merge_documents
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_gateway.forwarding.route_table import RouteOwner
from broadsheet_gateway.own_api.app import OwnApi
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_publishing.app import create_app as create_publishing_app
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.app import create_app as create_subscriptions_app
from broadsheet_subscriptions.settings import SubscriptionsSettings

_NOWHERE = PostgresUrl("postgresql://nobody@127.0.0.1:1/none")
_PUBLIC_URL = HttpUrl("https://news.example.com")
_SESSION_COOKIE = "__Host-session"
VERSION = "1"
"""Of the API, as in its paths: the document is the same for each release of the program that keeps the contract."""


def service_apps() -> dict[ServiceName, Litestar]:
    """Each service, with settings that lead nowhere."""
    public_key = Ed25519PrivateKey.generate().public_key()
    identity = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    keys = Secret(f"1:{secrets.token_hex(32)}")
    return {
        "subscriptions": create_subscriptions_app(
            SubscriptionsSettings(
                bind_port=1,
                database_url=_NOWHERE,
                public_url=_PUBLIC_URL,
                link_signing_keys=keys,
                erasure_keys=keys,
                secret_encryption_keys=keys,
                identity_public_key=identity,
            )
        ),
        "publishing": create_publishing_app(
            PublishingSettings(bind_port=1, database_url=_NOWHERE, public_url=_PUBLIC_URL, identity_public_key=identity)
        ),
        "delivery": create_delivery_app(
            DeliverySettings(
                bind_port=1,
                database_url=_NOWHERE,
                public_url=_PUBLIC_URL,
                identity_public_key=identity,
                link_signing_keys=keys,
                erasure_keys=keys,
                mail_from="Broadsheet <newsletter@example.com>",
                postmark_base_url=HttpUrl("http://127.0.0.1:1"),
                postmark_server_token=Secret("none"),
            )
        ),
    }


def own_api_document() -> dict[str, Any]:
    """Of what the gateway answers itself."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings = GatewaySettings(
        bind_port=1,
        database_url=_NOWHERE,
        public_url=_PUBLIC_URL,
        redis_url=RedisUrl.parse("redis://127.0.0.1:1"),
        subscriptions_url=_PUBLIC_URL,
        publishing_url=_PUBLIC_URL,
        delivery_url=_PUBLIC_URL,
        identity_private_key=Secret(key),
        second_factor_keys=Secret(f"k1:{secrets.token_hex(32)}"),
    )
    own_api: OwnApi = create_gateway_app(settings).state.own_api
    return own_api.document()


def merged_document() -> dict[str, Any]:
    documents: dict[RouteOwner, dict[str, Any]] = {"gateway": own_api_document()}
    for name, app in service_apps().items():
        documents[name] = served_document(app)
    return merge_documents(documents, version=VERSION, public_url=str(_PUBLIC_URL), session_cookie_name=_SESSION_COOKIE)
