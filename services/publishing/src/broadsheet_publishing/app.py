"""The wiring of the publishing service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar

from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.contracts.identity import IdentityMiddleware, IdentityVerifier
from broadsheet_common.http.application import ServerMetrics, create_service_app
from broadsheet_common.http.route_rules import openapi_config, openapi_document
from broadsheet_common.process.database import create_engine, schema_check
from broadsheet_publishing.approvals.api import ApprovalController
from broadsheet_publishing.archive.api import ArchiveStepController, PublicArchiveController
from broadsheet_publishing.archive.read_archive import ArchiveReader
from broadsheet_publishing.audience.api import AudienceController
from broadsheet_publishing.checks.api import CheckController
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.api import RevisionController
from broadsheet_publishing.fan_out.worker import FanOutWorker
from broadsheet_publishing.history.api import HistoryController
from broadsheet_publishing.issues.api import IssueController
from broadsheet_publishing.issues.steps_api import IssueStepController
from broadsheet_publishing.layouts.api import LayoutController
from broadsheet_publishing.newsletters.api import NewsletterController
from broadsheet_publishing.newsletters.check_stream import StreamChecker
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.previews.api import PreviewController
from broadsheet_publishing.previews.welcome_api import WelcomePreviewController
from broadsheet_publishing.schedule.api import ScheduleController
from broadsheet_publishing.schedule.worker import ScheduleWorker
from broadsheet_publishing.settings import EXPECTED_SCHEMA_VERSION, PublishingSettings
from broadsheet_publishing.variants.api import AbTestController
from broadsheet_publishing.variants.worker import AbTestWorker
from broadsheet_publishing.waves.api import WaveController
from broadsheet_publishing.welcome.refresh_welcome import WelcomeRefresher

BODY_MAX_BYTES = 12 * 1024 * 1024
"""Two contents of the largest size, and what JSON adds to them."""


def create_app(settings: PublishingSettings, *, acts_on_time: bool = True) -> Litestar:
    """The service: its API and its background work. Unless it `acts_on_time`, no schedule fires and no A/B test is
    decided: tests do those steps themselves.
    """
    engine = create_engine(
        settings.database_url,
        application_name="broadsheet-publishing",
        pool_size=settings.database_pool_size,
        timeout_s=settings.database_timeout_s,
    )
    worker = FanOutWorker(
        engine, page_rows=settings.fan_out_page_rows, partition_above=settings.delivery_partition_above
    )

    installation = Installation(sender=settings.mail_from, public_url=str(settings.public_url))
    schedule_worker = ScheduleWorker(engine, installation, on_published=worker.wake)
    compiler = Compiler(settings.compiler)
    ab_test_worker = AbTestWorker(engine)
    metrics = ServerMetrics()
    refresher = WelcomeRefresher(engine, compiler)
    loops = [*worker.loops, refresher.loop]
    if acts_on_time:
        loops += [schedule_worker.loop, ab_test_worker.loop]
    background = BackgroundRunner(loops, registry=metrics.registry)

    @asynccontextmanager
    async def background_work(_: Litestar) -> AsyncGenerator[None]:
        try:
            # A step that is cut short rolls back, and whoever comes next does it again.
            async with compiler, background.running(stop_timeout_s=settings.drain_s):
                yield
        finally:
            await engine.dispose()

    return create_service_app(
        route_handlers=[
            NewsletterController,
            LayoutController,
            IssueController,
            IssueStepController,
            ScheduleController,
            RevisionController,
            PreviewController,
            WelcomePreviewController,
            CheckController,
            AudienceController,
            ApprovalController,
            HistoryController,
            AbTestController,
            WaveController,
            ArchiveStepController,
            PublicArchiveController,
            openapi_document,
        ],
        dependencies={
            "engine": engine,
            "fan_out_worker": worker,
            "installation": installation,
            "compiler": compiler,
            "stream_checker": StreamChecker(engine, wait_s=settings.stream_check_wait_s),
            "archive_reader": ArchiveReader(engine, public_url=str(settings.public_url)),
        },
        readiness_checks={"database": schema_check(engine, EXPECTED_SCHEMA_VERSION)},
        background=background,
        metrics=metrics,
        middleware=[IdentityMiddleware],
        lifespan=[background_work],
        state={"engine": engine, "identity_verifier": IdentityVerifier(settings.identity_public_key, "publishing")},
        openapi_config=openapi_config("Broadsheet publishing", "Newsletters and their issues."),
        body_max_bytes=BODY_MAX_BYTES,
    )
