"""Sample data of the home page."""

from datetime import date, timedelta

import msgspec

from broadsheet_gateway.admin.charts import Point, TimeChart
from broadsheet_gateway.admin.home.views import (
    DashboardPage,
    FirstStep,
    Growth,
    IssueFigures,
    LatestIssue,
    SendingIssue,
    Task,
)
from broadsheet_gateway.admin.issue.report import Engagement, Rates
from broadsheet_gateway.admin.issue.views import Senders, SendingState
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.samples.admin.issues import (
    BACKING_OFF,
    CANCELLED,
    DRAFT,
    PAUSED,
    RUNNING,
    SCHEDULED,
    SENDING,
    SENT,
)
from broadsheet_gateway.pages.views import PageView, SignedIn

_FIRST_DAY = date(2026, 2, 12)
_DAYS = 30


def _growth(*, is_empty: bool = False) -> Growth:
    joined = [0 if is_empty else (17 * day + 5) % 41 for day in range(_DAYS)]
    left = [0 if is_empty else (7 * day + 3) % 13 for day in range(_DAYS)]
    subscribers = 0 if is_empty else 19_540
    columns, line = [], []
    for number in range(_DAYS):
        label = f"{_FIRST_DAY + timedelta(days=number):%-d %b %Y}"
        subscribers += joined[number] - left[number]
        columns.append(Point(label, (joined[number], left[number])))
        line.append(Point(label, (subscribers,)))
    return Growth(
        newsletter_name="The Systems Letter",
        subscribers=subscribers,
        joined=sum(joined),
        left=sum(left),
        columns=TimeChart(title="Joined and left by day (UTC)", series=("Joined", "Left"), points=tuple(columns)),
        line=TimeChart(
            title="Subscribers at the end of each day (UTC)", series=("Subscribers",), points=tuple(line), is_line=True
        ),
    )


_NOT_MEASURED = Engagement(False, None, None, None, None)
_FIGURES = IssueFigures(
    issue_id=12,
    delivered=19_301,
    opens=Engagement(True, 9_120, 14_201, 7_911, 3_020),
    clicks=_NOT_MEASURED,
    rates=Rates(
        of="delivered",
        opened=0.4725,
        opened_without_machines=0.4099,
        clicked=None,
        clicked_without_machines=None,
        unsubscribed=0.0012,
        complained=0.0001,
        bounced=0.0031,
    ),
)


def home_samples(signed_in: SignedIn) -> dict[str, PageView]:
    newsletters = (
        NewsletterFacts(id=1, name="The Systems Letter", is_default=True),
        NewsletterFacts(id=3, name="Harbour Notes"),
    )
    full = DashboardPage(
        signed_in=signed_in,
        senders=BACKING_OFF,
        sending=(
            SendingIssue(issue=SENDING, settled_per_s=212.4, seconds_left=36),
            SendingIssue(issue=PAUSED),
        ),
        latest=(
            LatestIssue(issue=SENT, figures=_FIGURES),
            LatestIssue(issue=CANCELLED, figures=None),
        ),
        unpublished=(msgspec.structs.replace(DRAFT, title=""), SCHEDULED),
        tasks=(
            Task(
                kind="sending",
                text="Sending is backing off, and resumes by itself. Reason: Postmark answered 429",
                page_path="/admin/sending",
                link="Look at sending",
            ),
            Task(
                kind="delivery",
                text="3 deliveries of “Exactly once is a promise about records” may or may not have been sent. "
                "Somebody has to decide.",
                page_path="/admin/issues/12",
                link="Look at the issue",
            ),
            Task(
                kind="webhook",
                text="Webhook 4 was switched off after failing since 9 March 2026, 09:12 Europe/Paris.",
                page_path="/admin/webhooks/4",
                link="Look at the webhook",
            ),
            Task(
                kind="import",
                text="Import 21 left 18 rows out.",
                page_path="/admin/imports/21",
                link="Look at the import",
            ),
            Task(
                kind="approval",
                text="“Clocks that change” waits for approval.",
                page_path="/admin/issues/16/edit",
                link="Read it",
            ),
            Task(kind="newsletter", text="Harbour Notes cannot be sent yet: it lacks a postal address."),
        ),
        growth=_growth(),
        newsletters=newsletters,
        newsletter_id=1,
        sign="backing_off|Postmark answered 429|2;14=sending,13=paused;12=3/3;4=1;21=done/18",
    )
    return {
        "dashboard": full,
        "dashboard-quiet": msgspec.structs.replace(
            full, senders=RUNNING, sending=(), unpublished=(), tasks=(), newsletters=newsletters[:1]
        ),
        "dashboard-empty": DashboardPage(
            signed_in=signed_in,
            flashes=(FlashCode.NO_RECIPIENTS,),
            senders=Senders(sending=SendingState(state="running")),
            sending=(),
            tasks=(
                Task(kind="sending", text="No sender is running. Mails wait until one starts."),
                Task(
                    kind="newsletter",
                    text="The Systems Letter cannot be sent yet: it lacks the sender's address and a postal address.",
                    page_path="/admin/settings/newsletters/1",
                    link="Open its settings",
                ),
            ),
            growth=_growth(is_empty=True),
            newsletters=newsletters[:1],
            newsletter_id=1,
            first_steps=(
                FirstStep(text="Say who the mails come from", page_path="/admin/settings/newsletters/1"),
                FirstStep(text="Import your subscribers"),
                FirstStep(text="Share the page where people sign up", page_path="/newsletters/systems", is_done=True),
                FirstStep(text="Write an issue", page_path="/admin/issues"),
            ),
        ),
        "dashboard-no-role": DashboardPage(
            signed_in=msgspec.structs.replace(signed_in, permissions=frozenset(), everywhere=frozenset()), sending=()
        ),
        "dashboard-degraded": DashboardPage(
            signed_in=signed_in,
            senders=None,
            sending=None,
            silent=("deliveries, webhooks, imports", "newsletters", "approvals"),
            growth=None,
        ),
    }
