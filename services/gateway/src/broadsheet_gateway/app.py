"""The gateway's wiring: everything is made here and handed to what needs it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.config.app import AppConfig
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.contracts.identity import IdentityMinter, ServiceName
from broadsheet_common.http.application import ServerMetrics, create_service_app
from broadsheet_common.process.database import create_engine, schema_check
from broadsheet_common.process.metrics import Counter
from broadsheet_gateway.accounts.attempts import SignInAttempts
from broadsheet_gateway.accounts.current_session import CurrentSession
from broadsheet_gateway.accounts.default_credentials import refuse_default_credentials
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.admin.router import admin_router
from broadsheet_gateway.api_docs.api_document import API_DOCUMENT_HANDLERS, ApiDocuments
from broadsheet_gateway.api_docs.deprecations import DeprecationHeaders
from broadsheet_gateway.api_keys.key_uses import KeyUses
from broadsheet_gateway.api_keys.verify_api_key import ApiKeyVerifier
from broadsheet_gateway.archive.answer_kept import AnswerKeptMiddleware
from broadsheet_gateway.archive.archive_source import ArchiveSource
from broadsheet_gateway.archive.pages import ARCHIVE_HANDLERS, ArchiveDesk
from broadsheet_gateway.audit.worker import audit_loops
from broadsheet_gateway.content_coding.compress_answers import CompressAnswers
from broadsheet_gateway.content_coding.decode_bodies import DecodeBodies
from broadsheet_gateway.email_change.pages import EMAIL_LINK_HANDLERS
from broadsheet_gateway.forwarding.aiohttp_transport import AiohttpTransport
from broadsheet_gateway.forwarding.authenticate import Authenticator
from broadsheet_gateway.forwarding.forward import BodyBounds, Forwarder, forward_route
from broadsheet_gateway.forwarding.forward_stream import EventStreams
from broadsheet_gateway.forwarding.route_table import API_PREFIX
from broadsheet_gateway.forwarding.service_guard import PLACE_TIMEOUT_S, GuardLimits, make_guards
from broadsheet_gateway.forwarding.transport import Transport
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.http.error_pages import error_handlers
from broadsheet_gateway.http.metrics_access import MetricsAccessMiddleware
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import Responder
from broadsheet_gateway.http.security_headers import headers_of_ordinary_pages, security_headers_hook
from broadsheet_gateway.http.trailing_slash import NoTrailingSlash
from broadsheet_gateway.invitations.invitation import InvitationPolicy
from broadsheet_gateway.invitations.pages import INVITATION_HANDLERS
from broadsheet_gateway.limits.answer_limits import add_limit_headers
from broadsheet_gateway.limits.limiter import Limiter
from broadsheet_gateway.limits.redis_client import create_redis
from broadsheet_gateway.oidc.calls import ProviderCalls
from broadsheet_gateway.oidc.pages import PROVIDER_LOGIN_HANDLERS
from broadsheet_gateway.oidc.provider import Provider, ProviderDoor
from broadsheet_gateway.oidc.visits import Visits
from broadsheet_gateway.own_api.app import OwnApi
from broadsheet_gateway.own_api.controllers import OWN_CONTROLLERS
from broadsheet_gateway.own_api.prune_answers import prune_loop
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.passkeys.ceremony import RelyingParty
from broadsheet_gateway.passkeys.challenges import Challenges
from broadsheet_gateway.passkeys.sign_in_pages import PASSKEY_LOGIN_HANDLERS
from broadsheet_gateway.password_reset.pages import PASSWORD_RESET_HANDLERS
from broadsheet_gateway.reader.own_pages import OWN_HANDLERS
from broadsheet_gateway.reader.public_pages import PUBLIC_HANDLERS
from broadsheet_gateway.settings import (
    API_BODY_MAX_BYTES,
    EXPECTED_SCHEMA_VERSION,
    NEWSLETTER_FORM_BODY_MAX_BYTES,
    GatewaySettings,
)
from broadsheet_gateway.sign_in.admission import Admission
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIns
from broadsheet_gateway.sign_in.login_pages import LOGIN_HANDLERS
from broadsheet_gateway.sign_in.second_factor_pages import SECOND_FACTOR_LOGIN_HANDLERS
from broadsheet_gateway.sign_up.answer_directly import SignUpMiddleware
from broadsheet_gateway.sign_up.form_ticket import FormTickets, derive_key
from broadsheet_gateway.sign_up.guard import SignUpGuard
from broadsheet_gateway.sign_up.latest_issues import LatestIssues
from broadsheet_gateway.sign_up.newsletter_directory import NewsletterDirectory
from broadsheet_gateway.sign_up.pages import SIGN_UP_HANDLERS, SignUpDesk
from broadsheet_gateway.sign_up.refuse_overload import OverloadRefusal
from broadsheet_gateway.sign_up.send_sign_ups import SignUpSender
from broadsheet_gateway.webhooks.receive import WEBHOOK_HANDLERS, WebhookDoor
from broadsheet_gateway.webhooks.store_webhooks import WebhookInbox
from broadsheet_gateway.well_known.pages import WELL_KNOWN_HANDLERS


def create_app(
    settings: GatewaySettings,
    *,
    upstreams: Mapping[ServiceName, Transport] | None = None,
    redis_client: Redis | None = None,
    pages: Pages | None = None,
) -> Litestar:
    """The gateway. What may be given instead of made is for tests that wire services in one process: `upstreams` (to
    services in this process) and `redis_client`, which whoever gives them closes, and `pages`, whose templates take a
    quarter of a second to compile.
    """
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-gateway",
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout_s,
    )
    redis = redis_client or create_redis(
        settings.redis_url, timeout_s=settings.redis_timeout_s, connections_max=settings.redis_connections_max
    )
    services = _create_upstreams(settings, upstreams, connections_max=settings.upstream_connections_max)
    streaming = _create_upstreams(settings, upstreams, connections_max=settings.event_streams_max)
    metrics = ServerMetrics()
    event_streams = EventStreams(streams_max=settings.event_streams_max, registry=metrics.registry)
    service_calls = Upstreams(
        services,
        minter=IdentityMinter(settings.identity_private_key.reveal()),
        guards=make_guards(
            services,
            GuardLimits(
                connections_max=settings.upstream_connections_max,
                waiting_max=settings.upstream_waiting_max,
                failures_max=settings.upstream_breaker_failures,
                call_max_s=settings.upstream_timeout_s,
            ),
            metrics.registry,
        ),
        timeout_s=settings.upstream_timeout_s,
        streaming=streaming,
    )
    jar = CookieJar(is_https=settings.is_https)
    pages = pages or Pages()
    responder = Responder(pages, jar)
    hashing = PasswordHashing(concurrency=settings.argon2_concurrency, queue_max=settings.argon2_queue_max)
    limiter = Limiter(redis)
    sessions = Sessions(redis, lifetime_s=settings.session_lifetime_s, idle_s=settings.session_idle_s)
    current_session = CurrentSession(
        engine=engine,
        sessions=sessions,
        cookie_name=jar.session_name,
        recent_s=settings.recent_authentication_s,
        provider_name=settings.provider_name,
    )
    limits = settings.parse_rate_limits()
    sign_in_notes = SignInNotes(engine, limiter)
    half_sign_ins = HalfSignIns(redis)
    provider_door = ProviderDoor(_create_provider(settings, engine))
    attempts = SignInAttempts(limiter=limiter, limits=limits, engine=engine)
    request_origin = RequestOrigin(settings.parse_trusted_proxies(), believed=settings.trusted_proxy_header)
    key_uses = KeyUses(engine)
    invitation_policy = InvitationPolicy(
        public_url=str(settings.public_url),
        lifetime_s=settings.invitation_lifetime_s,
        cool_down_s=settings.invitation_cool_down_s,
    )
    own_api = OwnApi(OWN_CONTROLLERS, {"engine": engine, "sessions": sessions, "invitation_policy": invitation_policy})
    forwarder = Forwarder(
        authenticator=Authenticator(
            keys=ApiKeyVerifier(
                engine, limiter=limiter, limits=limits, uses=key_uses, cache_s=settings.api_key_cache_s
            ),
            current_session=current_session,
            public_origin=settings.public_origin,
        ),
        request_origin=request_origin,
        limiter=limiter,
        limits=limits,
        upstreams=service_calls,
        bodies=BodyBounds(API_BODY_MAX_BYTES, settings.body_timeout_s, settings.body_timeout_s),
        files=BodyBounds(settings.import_body_max_bytes, settings.import_body_timeout_s, settings.body_timeout_s),
        streams=event_streams,
        own_api=own_api,
    )

    shared_secret = settings.identity_private_key.reveal()
    tickets = FormTickets(derive_key(shared_secret, b"form ticket"))
    newsletter_directory = NewsletterDirectory(service_calls, cache_s=settings.newsletter_cache_s)
    archive_source = ArchiveSource(service_calls)
    sign_up_desk = SignUpDesk(
        settings=settings,
        responder=responder,
        guard=SignUpGuard(
            limiter=limiter,
            limits=limits,
            tickets=tickets,
            fill_min_s=settings.signup_fill_min,
            address_key=derive_key(shared_secret, b"sign-up address"),
        ),
        tickets=tickets,
        directory=newsletter_directory,
        latest=LatestIssues(archive_source, cache_s=settings.archive_cache_s),
        sender=SignUpSender(service_calls),
        request_origin=request_origin,
    )
    archive_desk = ArchiveDesk(
        archive_source, pages, public_url=str(settings.public_url), cache_s=settings.archive_cache_s
    )
    webhook_inbox = WebhookInbox(engine)
    background = BackgroundRunner(
        [
            *webhook_inbox.loops,
            key_uses.loop(),
            prune_loop(engine),
            *audit_loops(engine, stream=settings.audit_stream, registry=metrics.registry),
        ],
        registry=metrics.registry,
    )

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            if not settings.is_local:
                await refuse_default_credentials(engine, hashing)
            async with webhook_inbox.running(background):
                yield
        finally:
            hashing.close()
            await provider_door.aclose()
            if upstreams is None:
                for upstream in (*services.values(), *streaming.values()):
                    await upstream.aclose()
            if redis_client is None:
                await redis.aclose()
            await engine.dispose()

    return create_service_app(
        route_handlers=[
            *SIGN_UP_HANDLERS,
            *ARCHIVE_HANDLERS,
            *PUBLIC_HANDLERS,
            *OWN_HANDLERS,
            *LOGIN_HANDLERS,
            *SECOND_FACTOR_LOGIN_HANDLERS,
            *PASSKEY_LOGIN_HANDLERS,
            *PROVIDER_LOGIN_HANDLERS,
            *PASSWORD_RESET_HANDLERS,
            *INVITATION_HANDLERS,
            *EMAIL_LINK_HANDLERS,
            *API_DOCUMENT_HANDLERS,
            *WEBHOOK_HANDLERS,
            *WELL_KNOWN_HANDLERS,
            admin_router(),
            forward_route(forwarder),
        ],
        token_paths=("/unsubscribe/",),
        coded_body_paths=(API_PREFIX,),
        answer_at_once=OverloadRefusal(
            sign_up_desk.is_full,
            pages,
            Counter(
                "gateway_sign_ups_refused",
                "Sign-ups refused because as many were under way as may be",
                registry=metrics.registry,
            ),
            headers=headers_of_ordinary_pages(
                is_https=settings.is_https, hsts_subdomains=settings.hsts_include_subdomains
            ),
        ),
        dependencies={
            "settings": settings,
            "limits": limits,
            "engine": engine,
            "pages": pages,
            "responder": responder,
            "jar": jar,
            "hashing": hashing,
            "limiter": limiter,
            "attempts": attempts,
            "sessions": sessions,
            "invitation_policy": invitation_policy,
            "sign_in_notes": sign_in_notes,
            "second_factor_box": settings.parse_second_factor_keys(),
            "half_sign_ins": half_sign_ins,
            "challenges": Challenges(redis),
            "relying_party": RelyingParty.of(settings.public_origin),
            "provider_door": provider_door,
            "provider_visits": Visits(redis),
            "admission": Admission(sessions=sessions, half_sign_ins=half_sign_ins, notes=sign_in_notes),
            "current_session": current_session,
            "upstreams": service_calls,
            "request_origin": request_origin,
            "sign_up_desk": sign_up_desk,
            "newsletter_directory": newsletter_directory,
            "archive_desk": archive_desk,
            "webhook_door": WebhookDoor(
                user=settings.postmark_webhook_user, password=settings.postmark_webhook_password
            ),
            "webhook_inbox": webhook_inbox,
            "api_documents": ApiDocuments(
                service_calls,
                own=own_api.document(),
                public_url=str(settings.public_url),
                session_cookie_name=jar.session_name,
            ),
        },
        readiness_checks={"database": schema_check(engine, EXPECTED_SCHEMA_VERSION)},
        # Without Redis nobody is signed in and limits are each process's own; the public pages and webhooks go on.
        optional_checks={"redis": _redis_check(redis)},
        background=background,
        state={
            "own_api": own_api,
            "provider_door": provider_door,
            "key_uses": key_uses,
            "on_draining": (event_streams.close,),
        },
        metrics=metrics,
        middleware=[
            NoTrailingSlash(),
            # Its pages hold a ticket each and its answers are short: nothing of them is ever compressed.
            SignUpMiddleware(sign_up_desk),
            MetricsAccessMiddleware(settings.metrics_token.reveal() if settings.metrics_token else None),
            CompressAnswers(),
            DecodeBodies(API_PREFIX),
            AnswerKeptMiddleware(archive_desk),
        ],
        lifespan=[lifespan],
        body_max_bytes=NEWSLETTER_FORM_BODY_MAX_BYTES,
        configure=_configure(settings, responder, newsletter_directory),
    )


def _create_provider(settings: GatewaySettings, engine: AsyncEngine) -> Provider | None:
    configuration = settings.parse_oidc()
    if configuration is None:
        return None
    return Provider(configuration, ProviderCalls(timeout_s=settings.oidc_timeout_s), engine)


def _create_upstreams(
    settings: GatewaySettings,
    transports: Mapping[ServiceName, Transport] | None,
    *,
    connections_max: int,
) -> Mapping[ServiceName, Transport]:
    if transports is not None:
        return transports
    urls: dict[ServiceName, str] = {
        "subscriptions": str(settings.subscriptions_url),
        "publishing": str(settings.publishing_url),
        "delivery": str(settings.delivery_url),
    }
    return {
        service: AiohttpTransport(
            url,
            connections_max=connections_max,
            place_timeout_s=PLACE_TIMEOUT_S,
            timeout_s=settings.upstream_timeout_s,
        )
        for service, url in urls.items()
    }


def _configure(
    settings: GatewaySettings, responder: Responder, directory: NewsletterDirectory
) -> Callable[[AppConfig], AppConfig]:
    def configure(config: AppConfig) -> AppConfig:
        config.exception_handlers = error_handlers(config.exception_handlers, responder, directory)
        add_headers = security_headers_hook(
            is_https=settings.is_https, hsts_subdomains=settings.hsts_include_subdomains
        )
        config.before_send = [*config.before_send, add_headers, add_limit_headers, DeprecationHeaders()]
        return config

    return configure


def _redis_check(redis: Redis) -> Callable[[], Any]:
    async def check() -> str | None:
        await redis.ping()
        return None

    return check
