"""The wiring of the subscriptions service."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from litestar import Litestar

from broadsheet_common.application import create_service_app
from broadsheet_common.database import create_engine, schema_check
from broadsheet_common.identity import IdentityMiddleware, IdentityVerifier
from broadsheet_common.link_token import LinkSigner
from broadsheet_common.route_rules import openapi_config, openapi_document
from broadsheet_subscriptions.consent.api import ConsentController
from broadsheet_subscriptions.consent.note_settled_mails import note_forever
from broadsheet_subscriptions.leaving.apply_provider_changes import apply_forever
from broadsheet_subscriptions.people import remove_attribute_values as remove_values
from broadsheet_subscriptions.people.address_flags import parse_flags
from broadsheet_subscriptions.people.api import SubscriberController
from broadsheet_subscriptions.people.attribute_api import AttributeController
from broadsheet_subscriptions.people.remove_attribute_values import remove_attribute_values
from broadsheet_subscriptions.prune import prune_forever
from broadsheet_subscriptions.prune_store import Lifetimes
from broadsheet_subscriptions.public_api import PublicController
from broadsheet_subscriptions.repeat import repeat
from broadsheet_subscriptions.segments import freeze_audience
from broadsheet_subscriptions.segments.api import SegmentController
from broadsheet_subscriptions.segments.freeze_audience import freeze_audiences
from broadsheet_subscriptions.settings import EXPECTED_SCHEMA_VERSION, SubscriptionsSettings
from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource, random_token
from broadsheet_subscriptions.sign_up.store import MailBounds
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy


def create_app(settings: SubscriptionsSettings, *, token_source: TokenSource = random_token) -> Litestar:
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-subscriptions",
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout_s,
    )
    policy = ConfirmationPolicy(
        public_url=settings.public_url,
        lifetime=timedelta(seconds=settings.confirmation_lifetime_s),
        bounds=MailBounds(
            cool_down=timedelta(seconds=settings.confirmation_cool_down_s),
            mailbox_mails_max=settings.mailbox_mails_max,
            mailbox_window=timedelta(seconds=settings.mailbox_window_s),
        ),
        token_source=token_source,
    )

    lifetimes = Lifetimes(
        pending=timedelta(seconds=settings.pending_lifetime_s),
        mailbox_window=timedelta(seconds=settings.mailbox_window_s),
    )

    @asynccontextmanager
    async def own_engine(_: Litestar) -> AsyncGenerator[None]:
        loops = (
            prune_forever(engine, lifetimes),
            apply_forever(engine),
            note_forever(engine),
            repeat(freeze_audiences, engine, interval_s=freeze_audience.INTERVAL_S),
            repeat(remove_attribute_values, engine, interval_s=remove_values.INTERVAL_S),
        )
        background = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await engine.dispose()

    return create_service_app(
        route_handlers=[
            SubscriberController,
            ConsentController,
            AttributeController,
            SegmentController,
            PublicController,
            openapi_document,
        ],
        dependencies={
            "engine": engine,
            "confirmation_policy": policy,
            "refused_address_flags": parse_flags(settings.refused_address_flags),
            "link_signer": LinkSigner.parse(settings.link_signing_keys.reveal()),
        },
        readiness_checks={"database": schema_check(engine, EXPECTED_SCHEMA_VERSION)},
        middleware=[IdentityMiddleware],
        lifespan=[own_engine],
        state={"identity_verifier": IdentityVerifier(settings.identity_public_key, "subscriptions")},
        openapi_config=openapi_config("Broadsheet subscriptions", "Who subscribes to what."),
    )
