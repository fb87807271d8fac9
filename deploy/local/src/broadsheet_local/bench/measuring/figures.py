"""The figures that a benchmark ends with; docs/benchmarks.md defines them."""

import msgspec

from broadsheet_local.bench.compared.comparison import ComparisonRun
from broadsheet_local.bench.measuring.claim_log import ClaimTimes
from broadsheet_local.bench.measuring.processes import ProcessUse
from broadsheet_local.bench.runs.run_issue import IssueRun
from broadsheet_local.bench.runs.sign_up_load import SignUpTimes

US_PER_S = 1_000_000


class Memory(msgspec.Struct, frozen=True):
    start: float
    peak: float
    end: float


class ComparisonFigures(msgspec.Struct, frozen=True):
    processes: int
    calls: int
    mails: int
    seconds: float
    emails_per_s: float
    cpu_us_per_email: dict[str, float]


class PinnedFigures(msgspec.Struct, frozen=True):
    emails_per_s: float
    ratio_to_normal: float
    claim_ms_first_tenth: ClaimTimes | None
    claim_ms_last_tenth: ClaimTimes | None
    missing: int
    duplicates: int


class DeliveryFigures(msgspec.Struct, frozen=True):
    recipients: int
    replicas: int
    calls_per_replica: int
    latency_ms: int
    body_kb: int
    publish_call_ms: float
    enqueue_rows_per_s: float
    first_mail_seconds: float
    last_mail_seconds: float
    emails_per_s: float
    missing: int
    duplicates: int
    failed: int
    claim_ms_first_tenth: ClaimTimes | None
    claim_ms_last_tenth: ClaimTimes | None
    wal_bytes_per_email: float
    cpu_us_per_email: dict[str, float]
    rss_mb: dict[str, Memory]
    plain_emails_per_s: float | None
    ratio_to_plain: float | None
    original_emails_per_s: float | None
    ratio_to_original: float | None
    original_a_call_emails_per_s: float | None
    ratio_to_original_a_call: float | None
    plain: ComparisonFigures | None
    original: ComparisonFigures | None
    original_a_call: ComparisonFigures | None
    pinned_xmin: PinnedFigures | None
    sign_ups: SignUpTimes | None

    @property
    def is_whole(self) -> bool:
        """Everybody got it once; otherwise the speed means nothing."""
        pinned = self.pinned_xmin
        faults = self.missing + self.duplicates + self.failed
        return faults + (pinned.missing + pinned.duplicates if pinned else 0) == 0


class ScalingStep(msgspec.Struct, frozen=True):
    """`linearity`: a replica's rate divided by a replica's rate in the first step; 1 is perfect. `cpu_seconds` is
    what all processes used in `seconds`: it shows whether the processor was idle.
    """

    replicas: int
    emails_per_s: float
    linearity: float
    cpu_seconds: float
    seconds: float
    missing: int
    duplicates: int


class ScalingFigures(msgspec.Struct, frozen=True):
    recipients: int
    latency_ms: int
    body_kb: int
    steps: tuple[ScalingStep, ...]

    @property
    def is_whole(self) -> bool:
        return not any(step.missing or step.duplicates for step in self.steps)


class ClaimFigures(msgspec.Struct, frozen=True):
    """`ratio_p99` is the long queue's p99 divided by the short queue's."""

    short_queue: int
    long_queue: int
    claim_ms_short: ClaimTimes
    claim_ms_long: ClaimTimes
    ratio_p99: float


class RequestTimes(msgspec.Struct, frozen=True):
    """Milliseconds."""

    requests: int
    p50: float
    p99: float
    max: float


class SubscriberFigures(msgspec.Struct, frozen=True):
    """Times by kind of page, of filter tree, and of batch (1,000 items each). `wrong_answers` counts answers that
    differ from the computed result.
    """

    subscribers: int
    page_ms: dict[str, RequestTimes]
    search_ms: dict[str, RequestTimes]
    segment_count_ms: dict[str, RequestTimes]
    audience_preview_ms: RequestTimes
    batch_ms: dict[str, RequestTimes]
    freeze_audience_seconds: float
    wrong_answers: int

    @property
    def is_whole(self) -> bool:
        return self.wrong_answers == 0


class SendingCostFigures(msgspec.Struct, frozen=True):
    """Mails a second with the roll-up halted, and with more events waiting than it can take. `cost`: the part of the
    rate that is lost, from the means.
    """

    recipients: int
    emails_per_s_without: list[float]
    emails_per_s_with: list[float]
    cost: float
    events_waiting: int
    events_rolled_up: int
    missing: int
    duplicates: int

    @property
    def is_whole(self) -> bool:
        return self.missing + self.duplicates == 0


class SaveFigures(msgspec.Struct, frozen=True):
    """`is_whole`: every save is a version, and the last one is what was saved last."""

    content_kb: int
    saves: int
    ms_p50: float
    ms_p99: float
    ms_longest: float
    processors: int
    load_before: float
    is_whole: bool


class ReportFigures(msgspec.Struct, frozen=True):
    """`wrong_figures` counts figures of the report that differ from the computed ones."""

    recipients: int
    events: int
    recorded_events_per_s: float
    roll_up_seconds: float
    rolled_up_events_per_s: float
    request_ms: dict[str, RequestTimes]
    wrong_figures: int
    sending: SendingCostFigures | None

    @property
    def is_whole(self) -> bool:
        return self.wrong_figures == 0 and (self.sending is None or self.sending.is_whole)


def cpu_us_per_email(uses: dict[str, ProcessUse], mails: int) -> dict[str, float]:
    """By process name, with numbered ones (`delivery-1`, …) added together, and `total`."""
    summed: dict[str, float] = {}
    for name, use in uses.items():
        kind = name.rstrip("0123456789").rstrip("-")
        summed[kind] = summed.get(kind, 0.0) + use.cpu_s
    summed["total"] = sum(summed.values())
    return {name: round(cpu_s * US_PER_S / mails, 1) for name, cpu_s in summed.items()}


def memory(uses: dict[str, ProcessUse]) -> dict[str, Memory]:
    return {
        name: Memory(round(use.rss_mb_start, 1), round(use.rss_mb_peak, 1), round(use.rss_mb_end, 1))
        for name, use in uses.items()
    }


def comparison_figures(run: ComparisonRun, *, calls: int) -> ComparisonFigures:
    return ComparisonFigures(
        processes=run.processes,
        calls=calls,
        mails=run.mails,
        seconds=round(run.seconds, 3),
        emails_per_s=round(run.emails_per_s, 1),
        cpu_us_per_email=cpu_us_per_email(run.uses, run.mails),
    )


def pinned_figures(run: IssueRun, normal: IssueRun) -> PinnedFigures:
    return PinnedFigures(
        emails_per_s=round(run.emails_per_s, 1),
        ratio_to_normal=round(run.emails_per_s / normal.emails_per_s, 3),
        claim_ms_first_tenth=run.claims_first,
        claim_ms_last_tenth=run.claims_last,
        missing=run.missing,
        duplicates=run.duplicates,
    )


def ratio(ours: float, other: float | None, digits: int) -> float | None:
    return None if other is None else round(ours / other, digits)
