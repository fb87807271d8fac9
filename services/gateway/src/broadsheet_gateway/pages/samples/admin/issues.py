"""Issues in every state, as the samples of several pages show them."""

from datetime import UTC, datetime

from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueRow, IssueStatus
from broadsheet_gateway.admin.issue.views import Replica, Senders, SendingState


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


DRAFT = IssueRow(
    id=15,
    newsletter_id=1,
    title="A very long title, as authors write them when the subject is hard: leases, fences, and what a worker "
    "may assume after its pause",
    status=IssueStatus.DRAFT,
    counts=IssueCounts(),
    created_at=at(13, 7, 5),
)
SCHEDULED = IssueRow(
    id=16,
    newsletter_id=1,
    title="Clocks that change",
    status=IssueStatus.SCHEDULED,
    counts=IssueCounts(),
    created_at=at(13, 7),
    scheduled_at=at(29, 6),
    scheduled_local=datetime(2026, 3, 29, 8),  # noqa: DTZ001  # a local time
    scheduled_time_zone="Europe/Paris",
)
SENDING = IssueRow(
    id=14,
    newsletter_id=1,
    title="Queues that account for everybody",
    status=IssueStatus.SENDING,
    counts=IssueCounts(20000, 6500, 1000, 12180, 96, 60, 24, 140, 0),
    created_at=at(12, 8),
    published_at=at(12, 9, 30),
    in_archive=True,
    slug="queues-that-account-for-everybody",
)
PAUSED = IssueRow(
    id=13,
    newsletter_id=1,
    title="Back-off without a stampede",
    status=IssueStatus.PAUSED,
    status_reason="Paused by admin",
    counts=IssueCounts(19874, 9374, 0, 10400, 100, 0, 0, 0, 0),
    created_at=at(5, 8),
    published_at=at(5, 9),
    in_archive=False,
)
SENT = IssueRow(
    id=12,
    newsletter_id=1,
    title="Exactly once is a promise about records",
    status=IssueStatus.SENT,
    counts=IssueCounts(19611, 0, 0, 19485, 71, 40, 12, 3, 0),
    created_at=at(1, 8),
    published_at=at(1, 9),
    finished_at=at(1, 9, 2),
    parked=3,
    in_archive=True,
    slug="exactly-once",
)
CANCELLED = IssueRow(
    id=11,
    newsletter_id=1,
    title="Postgres as a queue, measured",
    status=IssueStatus.CANCELLED,
    counts=IssueCounts(18002, 0, 0, 500, 0, 0, 0, 0, 17502),
    created_at=datetime(2026, 2, 22, 8, tzinfo=UTC),
    published_at=datetime(2026, 2, 22, 9, tzinfo=UTC),
    finished_at=datetime(2026, 2, 22, 9, 1, tzinfo=UTC),
    in_archive=True,
)
RUNNING = Senders(
    sending=SendingState(state="running", calls_under_way=4),
    replicas=(
        Replica(id="1", host="sender-1", seen_at=at(12, 9), started_at=at(10, 7), version="1.4.0"),
        Replica(id="2", host="sender-2", seen_at=at(12, 9), started_at=at(12, 8, 30), version="1.4.0", draining=True),
    ),
)
BACKING_OFF = Senders(
    sending=SendingState(
        state="backing_off",
        reason="Postmark answered 429",
        back_off_until=at(12, 9, 31),
        breaker="open",
        concurrency=2,
        messages_per_s_max=250.0,
        concurrent_calls_max=8,
    ),
    replicas=RUNNING.replicas,
)
