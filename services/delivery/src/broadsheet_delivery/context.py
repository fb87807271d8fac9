"""What the steps of a replica's work need: made once in `app`, passed to every step."""

import random
from datetime import timedelta

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.set_aside import SetAsides
from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.process.metrics import Counter, Gauge, Histogram
from broadsheet_delivery.composing.compose_mail import MailComposer
from broadsheet_delivery.composing.compose_turns import ComposeTurns
from broadsheet_delivery.composing.load_issue_content import IssueContents
from broadsheet_delivery.composing.load_welcome_content import WelcomeContents
from broadsheet_delivery.composing.render_counts import RenderCounts
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.records import PostmarkRecords
from broadsheet_delivery.preflight.verdict import PassedPreflights
from broadsheet_delivery.senders.replica import Replica
from broadsheet_delivery.suppressions.soft_bounce_rule import SoftBounceRule


class DeliveryMetrics:
    """The metrics of one replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.mails = Counter(
            "delivery_mails_total", "Mails by lane and what became of them", ("lane", "outcome"), registry=registry
        )
        self.calls = Counter(
            "delivery_calls_total", "Calls to Postmark by how they ended", ("verdict",), registry=registry
        )
        self.call_s = Histogram(
            "delivery_call_duration_seconds",
            "One batch call, from first byte to answer",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=registry,
        )
        self.claim_s = Histogram(
            "delivery_claim_duration_seconds",
            "Claiming one chunk",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=registry,
        )
        self.sending_paused = Gauge("delivery_sending_paused", "1 while all sending is paused", registry=registry)
        self.breaker = Gauge("delivery_breaker", "0 closed, 1 half-open, 2 open", registry=registry)
        self.rate_limit = Gauge(
            "delivery_messages_per_second_limit", "Messages a second over all replicas; 0: no limit", registry=registry
        )
        self.calls_limit = Gauge(
            "delivery_concurrent_calls_limit",
            "Newsletter calls at once over all replicas, set or adapted; 0: no limit",
            registry=registry,
        )
        self.calls_under_way = Gauge(
            "delivery_calls_under_way", "Calls of all replicas that are not slow", registry=registry
        )
        self.unchecked_issues = Gauge(
            "delivery_issues_unchecked", "Open issues that wait for their preflight", registry=registry
        )


class DeliveryContext(msgspec.Struct, frozen=True):
    """Wiring, not configuration: `lease` and `call_timeout` are durations by the database's and our own clock."""

    engine: AsyncEngine
    postmark: PostmarkClient
    records: PostmarkRecords
    composer: MailComposer
    contents: IssueContents
    welcomes: WelcomeContents
    turns: ComposeTurns
    render_counts: RenderCounts
    preflights: PassedPreflights
    replica: Replica
    concurrent_calls: int
    metrics: DeliveryMetrics
    random: random.Random
    lease: timedelta
    call_timeout: timedelta
    slow_call: timedelta
    breaker_failures: int
    reconcile_floor: timedelta
    reconcile_deadline: timedelta
    work_kept: timedelta
    outcomes_kept: timedelta
    address_hasher: AddressHasher
    soft_bounce_rule: SoftBounceRule | None
    backstop_interval: timedelta
    canary_address: str | None
    transactional_stream: str
    batch_bytes_max: int
    set_asides: SetAsides
    log: structlog.typing.FilteringBoundLogger
