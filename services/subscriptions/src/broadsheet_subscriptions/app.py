"""The wiring of the subscriptions service."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IdentityMiddleware, IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.http.application import ServerMetrics, create_service_app
from broadsheet_common.http.route_rules import openapi_config, openapi_document
from broadsheet_common.process.database import create_engine, schema_check
from broadsheet_subscriptions.attributes import remove_attribute_values as remove_values
from broadsheet_subscriptions.attributes.api import AttributeController
from broadsheet_subscriptions.background import prune
from broadsheet_subscriptions.background.interface import Lifetimes
from broadsheet_subscriptions.batches.api import SubscriberBatchController
from broadsheet_subscriptions.consent import note_settled_mails
from broadsheet_subscriptions.consent.api import ConsentController
from broadsheet_subscriptions.exports.api import ExportController
from broadsheet_subscriptions.growth import fold_growth
from broadsheet_subscriptions.growth.api import GrowthController
from broadsheet_subscriptions.imports.api import ImportController
from broadsheet_subscriptions.imports.rows.api import ImportRowsController
from broadsheet_subscriptions.imports.running.import_worker import ImportPolicy, ImportWorker
from broadsheet_subscriptions.leaving import apply_provider_changes
from broadsheet_subscriptions.personal_data.api import PersonalDataController
from broadsheet_subscriptions.preferences.api import PreferencesController
from broadsheet_subscriptions.preferences.policy import PreferencesPolicy
from broadsheet_subscriptions.segments import freeze_audience
from broadsheet_subscriptions.segments.api import SegmentController
from broadsheet_subscriptions.settings import EXPECTED_SCHEMA_VERSION, SubscriptionsSettings
from broadsheet_subscriptions.sign_up.api import PublicController
from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource, random_token
from broadsheet_subscriptions.sign_up.interface import MailBounds
from broadsheet_subscriptions.sign_up.operator_api import SignUpController
from broadsheet_subscriptions.sign_up.preview_api import SignUpMailController
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy
from broadsheet_subscriptions.subscribers.address_flags import parse_flags
from broadsheet_subscriptions.subscribers.api import SubscriberController
from broadsheet_subscriptions.subscribers.show_subscriber import SubscriberReader
from broadsheet_subscriptions.webhooks.endpoints.api import WebhookEndpointController
from broadsheet_subscriptions.webhooks.log.api import EndpointDeliveriesController, WebhookDeliveryController
from broadsheet_subscriptions.webhooks.sending.attempt import Attempter
from broadsheet_subscriptions.webhooks.sending.call_endpoint import EndpointCaller
from broadsheet_subscriptions.webhooks.sending.sender import SendingPolicy, WebhookMetrics, WebhookSender


def create_app(
    settings: SubscriptionsSettings, *, token_source: TokenSource = random_token, sends_webhooks: bool = True
) -> Litestar:
    """The service: its API and, in the same event loop, its background work."""
    metrics = ServerMetrics()
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-subscriptions",
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout_s,
    )
    hasher = AddressHasher.parse(settings.erasure_keys.reveal())
    policy = ConfirmationPolicy(
        public_url=settings.public_url,
        lifetime=timedelta(seconds=settings.confirmation_lifetime_s),
        bounds=MailBounds(
            cool_down=timedelta(seconds=settings.confirmation_cool_down_s),
            mailbox_mails_max=settings.mailbox_mails_max,
            mailbox_window=timedelta(seconds=settings.mailbox_window_s),
        ),
        token_source=token_source,
        address_hasher=hasher,
    )
    preferences_policy = PreferencesPolicy(
        public_url=settings.public_url,
        link_lifetime=timedelta(seconds=settings.preferences_link_lifetime_s),
        change_lifetime=timedelta(seconds=settings.address_change_lifetime_s),
        cool_down=timedelta(seconds=settings.preferences_cool_down_s),
        token_source=token_source,
    )

    import_policy = _import_policy(settings)
    import_worker = ImportWorker(engine, import_policy, policy)
    lifetimes = Lifetimes(
        pending=timedelta(seconds=settings.pending_lifetime_s),
        mailbox_window=timedelta(seconds=settings.mailbox_window_s),
    )

    @asynccontextmanager
    async def own_engine(_: Litestar) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await engine.dispose()

    caller = EndpointCaller(settings.webhook_targets, timeout_s=settings.webhook_timeout_s)
    loops = [*import_worker.loops, *_tidying_loops(engine, lifetimes)]
    if sends_webhooks:
        loops += _create_sender(settings, engine, metrics, caller).loops
    background = BackgroundRunner(loops, registry=metrics.registry)

    @asynccontextmanager
    async def background_work(_: Litestar) -> AsyncGenerator[None]:
        async with caller.opened(), background.running(stop_timeout_s=settings.drain_s):
            yield

    return create_service_app(
        route_handlers=[
            SubscriberController,
            SignUpController,
            SignUpMailController,
            SubscriberBatchController,
            PersonalDataController,
            PreferencesController,
            WebhookEndpointController,
            EndpointDeliveriesController,
            WebhookDeliveryController,
            ConsentController,
            AttributeController,
            SegmentController,
            ImportController,
            ImportRowsController,
            ExportController,
            GrowthController,
            PublicController,
            openapi_document,
        ],
        dependencies={
            "engine": engine,
            "subscriber_reader": SubscriberReader(engine),
            "confirmation_policy": policy,
            "preferences_policy": preferences_policy,
            "address_hasher": hasher,
            "import_policy": import_policy,
            "import_worker": import_worker,
            "refused_address_flags": parse_flags(settings.refused_address_flags),
            "link_signer": LinkSigner.parse(settings.link_signing_keys.reveal()),
            "secret_box": SecretBox.parse(settings.secret_encryption_keys.reveal()),
            "webhook_targets": settings.webhook_targets,
        },
        readiness_checks={"database": schema_check(engine, EXPECTED_SCHEMA_VERSION)},
        middleware=[IdentityMiddleware],
        background=background,
        lifespan=[own_engine, background_work],
        state={"identity_verifier": IdentityVerifier(settings.identity_public_key, "subscriptions")},
        metrics=metrics,
        openapi_config=openapi_config("Broadsheet subscriptions", "Who subscribes to what."),
    )


def _tidying_loops(engine: AsyncEngine, lifetimes: Lifetimes) -> list[Loop]:
    """The loops of background work besides imports and webhooks. A round that is interrupted rolls back."""
    changes: SetAside[int] = SetAside(apply_provider_changes.LOOP)
    mails: SetAside[int] = SetAside(note_settled_mails.LOOP)
    attributes: SetAside[str] = SetAside(remove_values.LOOP)
    return [
        Loop(
            "subscriptions.prune",
            partial(prune.prune_round, engine, lifetimes),
            interval_s=prune.INTERVAL_S,
            bound_s=prune.BOUND_S,
            starts_with_wait=True,
            cancel_on_stop=True,
        ),
        Loop(
            apply_provider_changes.LOOP,
            partial(apply_provider_changes.apply_provider_changes, engine, changes),
            interval_s=apply_provider_changes.POLL_S,
            bound_s=apply_provider_changes.BOUND_S,
            cancel_on_stop=True,
            set_aside=changes,
        ),
        Loop(
            note_settled_mails.LOOP,
            partial(note_settled_mails.note_settled_mails, engine, mails),
            interval_s=note_settled_mails.POLL_S,
            bound_s=note_settled_mails.BOUND_S,
            starts_with_wait=True,
            cancel_on_stop=True,
            set_aside=mails,
        ),
        Loop(
            "subscriptions.audiences",
            partial(freeze_audience.freeze_audiences, engine),
            interval_s=freeze_audience.INTERVAL_S,
            bound_s=freeze_audience.BOUND_S,
            cancel_on_stop=True,
        ),
        Loop(
            "subscriptions.growth",
            partial(fold_growth.fold_growth, engine),
            interval_s=fold_growth.INTERVAL_S,
            bound_s=fold_growth.BOUND_S,
            cancel_on_stop=True,
        ),
        Loop(
            remove_values.LOOP,
            partial(remove_values.remove_attribute_values, engine, attributes),
            interval_s=remove_values.INTERVAL_S,
            bound_s=remove_values.BOUND_S,
            cancel_on_stop=True,
            set_aside=attributes,
        ),
    ]


def _create_sender(
    settings: SubscriptionsSettings, engine: AsyncEngine, metrics: ServerMetrics, caller: EndpointCaller
) -> WebhookSender:
    attempter = Attempter(
        caller,
        targets=settings.webhook_targets,
        box=SecretBox.parse(settings.secret_encryption_keys.reveal()),
        random=random.Random(),  # noqa: S311  # jitter, not secrets
    )
    policy = SendingPolicy(
        calls_per_endpoint=settings.webhook_calls_per_endpoint,
        # The time-out applies twice: to the answer, and to the beginning of its body.
        call=timedelta(seconds=2 * settings.webhook_timeout_s),
        failing_max=timedelta(days=settings.webhook_failing_days),
        log_kept_days=settings.webhook_log_kept_days,
    )
    return WebhookSender(engine, attempter, policy=policy, metrics=WebhookMetrics(metrics.registry))


def _import_policy(settings: SubscriptionsSettings) -> ImportPolicy:
    return ImportPolicy(
        csv_bytes_max=settings.import_csv_max_bytes,
        xlsx_bytes_max=settings.import_xlsx_max_bytes,
        upload_max=timedelta(seconds=settings.import_upload_max_s),
        lease=timedelta(seconds=settings.import_lease_s),
        kept=timedelta(seconds=settings.import_kept_s),
        confirmations_per_minute=settings.import_confirmations_per_minute,
        timeout_s=settings.database_timeout_s,
    )
