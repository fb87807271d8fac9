"""The sample data of the preview and of the tests: every page, in every state that looks different."""

from datetime import UTC, datetime

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.admin.home.views import DashboardPage, SubscriberTotals
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueRow, IssueStatus
from broadsheet_gateway.admin.issue.views import IssuePage, Replica, Senders, SendingState, UnsentRow
from broadsheet_gateway.admin.quick_publish.views import NewsletterFormPage
from broadsheet_gateway.pages.account_views import PasswordPage
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.for_readers.faults import known_words
from broadsheet_gateway.pages.preview_account_samples import account_samples
from broadsheet_gateway.pages.preview_archive_samples import archive_samples
from broadsheet_gateway.pages.preview_own_samples import own_samples
from broadsheet_gateway.pages.samples.email import email_samples
from broadsheet_gateway.pages.samples.passkeys import passkey_samples
from broadsheet_gateway.pages.samples.people import people_samples
from broadsheet_gateway.pages.samples.provider import provider_samples
from broadsheet_gateway.pages.samples.readers import reader_samples
from broadsheet_gateway.pages.samples.second_factor import second_factor_samples
from broadsheet_gateway.pages.views import (
    DocsPage,
    ErrorPage,
    LoginPage,
    PageView,
    SignedIn,
)

_ADMIN = SignedIn(username="admin", csrf_token="sample-csrf-token", permissions=GRANTABLE, everywhere=GRANTABLE)  # noqa: S106 (sample data)


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


_TEXT = "Queues that account for everybody\n\nA delivery is one issue to one subscriber…"
_HTML = "<h1>Queues that account for everybody</h1>\n<p>A delivery is one issue to one subscriber…</p>"

_SENDING = IssueRow(
    id=14,
    title="Queues that account for everybody",
    status=IssueStatus.SENDING,
    counts=IssueCounts(20000, 6500, 1000, 12180, 96, 60, 24, 140, 0),
    created_at=_at(12, 8),
    published_at=_at(12, 9, 30),
)
_ISSUES = (
    IssueRow(
        id=15,
        title="A very long title, as authors write them when the subject is hard: leases, fences, and what a worker "
        "may assume after its pause",
        status=IssueStatus.DRAFT,
        counts=IssueCounts(),
        created_at=_at(13, 7, 5),
    ),
    IssueRow(
        id=16,
        title="Clocks that change",
        status=IssueStatus.SCHEDULED,
        counts=IssueCounts(),
        created_at=_at(13, 7),
        scheduled_at=_at(29, 6),
        scheduled_local=datetime(2026, 3, 29, 8),  # noqa: DTZ001  # a local time
        scheduled_time_zone="Europe/Paris",
    ),
    _SENDING,
    IssueRow(
        id=13,
        title="Back-off without a stampede",
        status=IssueStatus.PAUSED,
        status_reason="Paused by admin",
        counts=IssueCounts(19874, 9374, 0, 10400, 100, 0, 0, 0, 0),
        created_at=_at(5, 8),
        published_at=_at(5, 9),
    ),
    IssueRow(
        id=12,
        title="Exactly once is a promise about records",
        status=IssueStatus.SENT,
        counts=IssueCounts(19611, 0, 0, 19488, 71, 40, 12, 0, 0),
        created_at=_at(1, 8),
        published_at=_at(1, 9),
        finished_at=_at(1, 9, 2),
    ),
    IssueRow(
        id=11,
        title="Postgres as a queue, measured",
        status=IssueStatus.CANCELLED,
        counts=IssueCounts(18002, 0, 0, 500, 0, 0, 0, 0, 17502),
        created_at=datetime(2026, 2, 22, 8, tzinfo=UTC),
        published_at=datetime(2026, 2, 22, 9, tzinfo=UTC),
        finished_at=datetime(2026, 2, 22, 9, 1, tzinfo=UTC),
    ),
)
_RUNNING = Senders(
    sending=SendingState(state="running"),
    replicas=(
        Replica(id="1", host="sender-1", seen_at=_at(12, 9)),
        Replica(id="2", host="sender-2", seen_at=_at(12, 9)),
    ),
)


def _detail(row: IssueRow) -> IssueDetail:
    return IssueDetail(
        id=row.id,
        title=row.title,
        status=row.status,
        status_reason=row.status_reason,
        counts=row.counts,
        created_at=row.created_at,
        scheduled_at=row.scheduled_at,
        scheduled_local=row.scheduled_local,
        scheduled_time_zone=row.scheduled_time_zone,
        published_at=row.published_at,
        finished_at=row.finished_at,
        created_by="admin",
        format="html",
        content=_HTML,
        text_content=_TEXT,
    )


def sample_pages() -> dict[str, PageView]:
    return {**_public_samples(), **_author_samples()}


def _public_samples() -> dict[str, PageView]:
    return {
        **reader_samples(),
        **own_samples(),
        **archive_samples(),
        **account_samples(_ADMIN),
        **people_samples(_ADMIN),
        **email_samples(_ADMIN),
        **provider_samples(_ADMIN),
        **second_factor_samples(_ADMIN),
        **passkey_samples(_ADMIN),
        "error-404": ErrorPage(
            status=404,
            title="There is nothing here",
            detail="The address may be wrong, or the page has moved.",
            request_id="5f0c7d1e9a3b4c62",
        ),
        "error-german": ErrorPage(
            status=401,
            title=known_words("This link is not valid or has expired", "de"),
            detail=known_words("Subscribe again to get a new one.", "de"),
            request_id="5f0c7d1e9a3b4c62",
            asked="de",
        ),
        "error-503": ErrorPage(
            status=503,
            title="A service that this needs does not answer",
            detail="Nothing was lost. Try again in a moment.",
            request_id="5f0c7d1e9a3b4c62",
            signed_in=_ADMIN,
        ),
        "docs": DocsPage(),
        "docs-signed-in": DocsPage(signed_in=_ADMIN),
    }


def _author_samples() -> dict[str, PageView]:
    return {
        "login": LoginPage(),
        "login-failed": LoginPage(flashes=(FlashCode.AUTHENTICATION_FAILED,)),
        "login-limited": LoginPage(
            username="ada", flashes=(FlashCode.TOO_MANY_ATTEMPTS,), provider_name="Example ID", passkeys_possible=True
        ),
        "dashboard": DashboardPage(
            signed_in=_ADMIN,
            issues=_ISSUES,
            older_cursor="djE6MTE",
            senders=_RUNNING,
            subscribers=SubscriberTotals(confirmed=20014, pending=183, unsubscribed=642),
        ),
        "dashboard-empty": DashboardPage(
            signed_in=_ADMIN,
            flashes=(FlashCode.NO_RECIPIENTS,),
            issues=(),
            senders=Senders(sending=SendingState(state="running")),
            subscribers=SubscriberTotals(confirmed=0, pending=0, unsubscribed=0),
        ),
        "dashboard-degraded": DashboardPage(signed_in=_ADMIN, issues=None),
        "dashboard-older": DashboardPage(signed_in=_ADMIN, issues=_ISSUES[3:], is_first_page=False),
        "issue": IssuePage(
            signed_in=_ADMIN,
            issue=_detail(_SENDING),
            senders=Senders(
                sending=SendingState(
                    state="backing_off", reason="Postmark answered 429", back_off_until=_at(12, 9, 31)
                ),
                replicas=_RUNNING.replicas,
            ),
            unsent=(
                UnsentRow(subscriber_id=17, status="failed", reason="300 Invalid “To” address"),
                UnsentRow(subscriber_id=204, status="suppressed", reason="Hard bounce on 1 March"),
                UnsentRow(subscriber_id=977, status="excluded", reason="Unsubscribed before sending"),
            ),
        ),
        "issue-sent": IssuePage(signed_in=_ADMIN, issue=_detail(_ISSUES[4]), unsent=None),
        "issue-scheduled": IssuePage(signed_in=_ADMIN, issue=_detail(_ISSUES[1])),
        "issue-draft": IssuePage(signed_in=_ADMIN, issue=_detail(_ISSUES[0])),
        "newsletter-form": NewsletterFormPage(
            signed_in=_ADMIN,
            flashes=(FlashCode.NEWSLETTER_ACCEPTED,),
            idempotency_key="0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11",
            audience=20014,
        ),
        "newsletter-form-errors": NewsletterFormPage(
            signed_in=_ADMIN,
            idempotency_key="0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11",
            html_content=_HTML,
            errors={
                "title": "Enter a title.",
                "text_content": "Enter the plain text.",
                "idempotency_key": "The form carries no key. Load the page again and send it from there.",
            },
        ),
        "password": PasswordPage(signed_in=_ADMIN),
        "password-weak": PasswordPage(
            signed_in=_ADMIN,
            errors={
                "new_password": "This is easy to guess. It follows rows of keys. A few unrelated words make a good one."
            },
        ),
        "password-wrong": PasswordPage(signed_in=_ADMIN, flashes=(FlashCode.CURRENT_PASSWORD_WRONG,)),
    }
