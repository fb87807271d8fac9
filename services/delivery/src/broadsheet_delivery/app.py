"""Wiring of the delivery service: one function from settings to an app, worker included."""

import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import httpx
import structlog
from litestar import Litestar
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.background.set_aside import SetAsides
from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IdentityMiddleware, IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.event_streams.messages import HEART_BEAT_INTERVAL_S
from broadsheet_common.http.application import ServerMetrics, create_service_app
from broadsheet_common.http.route_rules import openapi_config, openapi_document
from broadsheet_common.process.database import create_engine, schema_check
from broadsheet_common.process.metrics import Gauge
from broadsheet_delivery.composing.compose_mail import MailComposer
from broadsheet_delivery.composing.compose_turns import ComposeTurns
from broadsheet_delivery.composing.load_issue_content import IssueContents
from broadsheet_delivery.composing.load_welcome_content import WelcomeContents
from broadsheet_delivery.composing.render_counts import RenderCounts
from broadsheet_delivery.context import DeliveryContext, DeliveryMetrics
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.records import PostmarkRecords
from broadsheet_delivery.postmark.watched_connection import WatchedTransport
from broadsheet_delivery.preflight.verdict import PassedPreflights
from broadsheet_delivery.routes import delivery_routes
from broadsheet_delivery.senders.replica import this_replica
from broadsheet_delivery.sending.place import slow_calls_max
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_delivery.settling.reconcile import ASKED_AT_ONCE_MAX
from broadsheet_delivery.suppressions.soft_bounce_rule import SoftBounceRule
from broadsheet_delivery.tables import EXPECTED_SCHEMA_VERSION
from broadsheet_delivery.throttle.interface import left_when_slow
from broadsheet_delivery.watching.read_watched import WatchRounds, watching_loop
from broadsheet_delivery.watching.stream_states import StreamBounds
from broadsheet_delivery.watching.watchers import Watchers
from broadsheet_delivery.worker import (
    NEWSLETTER_MAILS_CALLS_MAX,
    SINGLE_CALLS_MAX,
    WELCOME_CALLS_MAX,
    DeliveryWorker,
)

_CONNECT_TIMEOUT_S = 10.0


def create_postmark_http_client(
    settings: DeliverySettings, *, verify: ssl.SSLContext | bool = True
) -> httpx.AsyncClient:
    """The pooled client for Postmark: one connection a call, closed when long unused so that none goes stale."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(settings.delivery_http_timeout_s, connect=_CONNECT_TIMEOUT_S),
        transport=WatchedTransport(
            limits=httpx.Limits(
                # A slow call gives up its place, and searches may hang: the pool has room for all of them, so that no
                # batch waits for a connection.
                max_connections=sum(
                    places + slow_calls_max(places)
                    for places in (
                        settings.delivery_concurrent_calls,
                        SINGLE_CALLS_MAX,
                        NEWSLETTER_MAILS_CALLS_MAX,
                        WELCOME_CALLS_MAX,
                    )
                )
                + ASKED_AT_ONCE_MAX
                + 4,
                keepalive_expiry=5.0,
            ),
            verify=verify,
        ),
        follow_redirects=False,
        trust_env=False,
    )


def create_context(
    settings: DeliverySettings, engine: AsyncEngine, http_client: httpx.AsyncClient, metrics: ServerMetrics
) -> DeliveryContext:
    """Everything that the steps of a delivery need."""
    return DeliveryContext(
        engine=engine,
        postmark=PostmarkClient(
            http_client,
            base_url=settings.postmark_base_url,
            token=settings.postmark_server_token.reveal(),
            call_timeout_s=settings.delivery_http_timeout_s,
        ),
        records=PostmarkRecords(
            http_client,
            base_url=settings.postmark_base_url,
            token=settings.postmark_server_token.reveal(),
            call_timeout_s=settings.delivery_http_timeout_s,
            dump_bytes_max=settings.delivery_backstop_dump_bytes_max,
        ),
        composer=MailComposer(
            public_url=settings.public_url,
            signer=LinkSigner.parse(settings.link_signing_keys.reveal()),
            sender=settings.mail_from,
            transactional_stream=settings.postmark_transactional_stream,
        ),
        contents=IssueContents(default_sender=settings.mail_from, public_url=settings.public_url),
        welcomes=WelcomeContents(default_sender=settings.mail_from, public_url=settings.public_url),
        turns=ComposeTurns(),
        render_counts=RenderCounts(),
        preflights=PassedPreflights(time.monotonic),
        replica=this_replica(),
        concurrent_calls=settings.delivery_concurrent_calls,
        metrics=DeliveryMetrics(metrics.registry),
        random=random.Random(),  # noqa: S311  # jitter, not secrets
        lease=timedelta(seconds=settings.delivery_lease_s),
        call_timeout=timedelta(seconds=settings.delivery_http_timeout_s),
        slow_call=timedelta(seconds=settings.delivery_slow_call_s),
        breaker_failures=settings.delivery_breaker_failures,
        reconcile_floor=timedelta(seconds=settings.delivery_reconcile_floor_s),
        reconcile_deadline=timedelta(seconds=settings.delivery_reconcile_deadline_s),
        work_kept=timedelta(days=settings.delivery_work_kept_days),
        outcomes_kept=timedelta(days=settings.delivery_outcomes_kept_days),
        address_hasher=AddressHasher.parse(settings.erasure_keys.reveal()),
        soft_bounce_rule=(
            SoftBounceRule(settings.delivery_soft_bounces, timedelta(days=settings.delivery_soft_bounce_days))
            if settings.delivery_soft_bounces
            else None
        ),
        backstop_interval=timedelta(seconds=settings.delivery_backstop_interval_s),
        canary_address=settings.delivery_canary_address,
        transactional_stream=settings.postmark_transactional_stream,
        batch_bytes_max=settings.batch_bytes_max,
        set_asides=SetAsides(),
        log=structlog.get_logger(),
    )


def create_worker(
    settings: DeliverySettings,
    context: DeliveryContext,
    registry: CollectorRegistry | None = None,
    more_loops: Sequence[Loop] = (),
) -> DeliveryWorker:
    return DeliveryWorker(
        context,
        concurrent_calls=settings.delivery_concurrent_calls,
        poll_s=settings.delivery_poll_s,
        single_poll_s=settings.delivery_single_poll_s,
        rescue_interval_s=settings.delivery_rescue_interval_s,
        listen_url=settings.database_listen_url or settings.database_url,
        registry=registry,
        more_loops=more_loops,
    )


def create_app(settings: DeliverySettings, *, sends: bool = True) -> Litestar:
    """The service: its API and, in the same loop, its worker; `sends=False` is the API alone."""
    metrics = ServerMetrics()
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-delivery",
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout_s,
    )
    http_client = create_postmark_http_client(settings)
    context = create_context(settings, engine, http_client, metrics)
    watchers = Watchers(
        watchers_max=settings.delivery_streams_max, per_caller_max=settings.delivery_streams_per_caller_max
    )
    watching = watching_loop(WatchRounds(engine, watchers))
    watchers.wake = watching.wake
    Gauge("delivery_event_streams", "Open event streams", registry=metrics.registry).set_function(lambda: len(watchers))
    worker = create_worker(settings, context, metrics.registry, [watching]) if sends else None
    runner = worker.runner if worker else BackgroundRunner([watching], registry=metrics.registry)
    return create_service_app(
        route_handlers=[delivery_routes(), openapi_document],
        dependencies={
            "engine": engine,
            "records": context.records,
            "address_hasher": context.address_hasher,
            "transactional_stream": context.transactional_stream,
            "left_when_slow": left_when_slow(context.lease, context.slow_call),
            "watchers": watchers,
            "stream_bounds": StreamBounds(HEART_BEAT_INTERVAL_S, settings.delivery_stream_max_s),
        },
        readiness_checks={"database": schema_check(engine, EXPECTED_SCHEMA_VERSION)},
        background=runner,
        middleware=[IdentityMiddleware],
        lifespan=[
            _own_resources(context, http_client),
            _work(worker, settings.drain_s) if worker else _run(runner, settings.drain_s),
        ],
        state={
            "engine": engine,
            "identity_verifier": IdentityVerifier(settings.identity_public_key, "delivery"),
            "on_draining": (watchers.close,),
        },
        metrics=metrics,
        openapi_config=openapi_config("Broadsheet delivery", "How each delivery stands, and the senders."),
    )


Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def _own_resources(context: DeliveryContext, http_client: httpx.AsyncClient) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await http_client.aclose()
            await context.engine.dispose()

    return lifespan


def _run(runner: BackgroundRunner, drain_s: float) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        async with runner.running(stop_timeout_s=drain_s):
            yield

    return lifespan


def _work(worker: DeliveryWorker, drain_s: float) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        worker.start()
        try:
            yield
        finally:
            await worker.drain(drain_s)

    return lifespan
