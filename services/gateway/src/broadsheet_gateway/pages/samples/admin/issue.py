"""Sample data of the pages of one issue."""

from datetime import timedelta

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueDetail, IssueEvent, IssueRow, IssueStatus
from broadsheet_gateway.admin.issue.report import (
    AbTestState,
    Bounces,
    DomainFigures,
    Engagement,
    IssueReport,
    LinkClicks,
    Rates,
    Stretch,
    VariantFigures,
)
from broadsheet_gateway.admin.issue.views import (
    DecisionRow,
    DeliveryPage,
    DeliveryRow,
    IssueCancelPage,
    IssueHistoryPage,
    IssuePage,
    IssueRecipientsPage,
    IssueRights,
    StepRow,
    TimelineEntry,
    TypedAction,
    UnsentRow,
)
from broadsheet_gateway.admin.subscriber_names import NamedSubscriber, SubscriberNames
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.samples.admin.issues import BACKING_OFF, DRAFT, PAUSED, SCHEDULED, SENDING, SENT, at
from broadsheet_gateway.pages.views import PageView, SignedIn

_TEXT = "Queues that account for everybody\n\nA delivery is one issue to one subscriber…"
_HTML = "<h1>Queues that account for everybody</h1>\n<p>A delivery is one issue to one subscriber…</p>"
_ALL = IssueRights(write=True, publish=True, decide=True, deliveries=True, timelines=True, reports=True)
_ANALYST = IssueRights(reports=True)
_KEY = "0b9f2b9a6f0e4b8e"
_NAMES = SubscriberNames(
    state="known",
    found={
        1: NamedSubscriber(1, "ada@example.com", "Ada Lovelace"),
        17: NamedSubscriber(17, "somebody.with.a.rather.long.address@department.university.example"),
        204: NamedSubscriber(204, "grace@example.com", "Grace Hopper"),
    },
    asked=frozenset({1, 17, 18, 204, 977}),
)
"""One is nameless, and two are erased."""


def _detail(row: IssueRow) -> IssueDetail:
    return IssueDetail(
        **{name: getattr(row, name) for name in IssueRow.__struct_fields__},
        created_by="admin",
        format="html",
        content=_HTML,
        text_content=_TEXT,
        subject="Queues, and who is in them",
        preheader="What an outcome for every subscriber takes",
    )


def _stretches() -> tuple[Stretch, ...]:
    hours = [
        Stretch(
            begins_at=at(1, 9) + timedelta(hours=hour),
            ends_at=at(1, 10) + timedelta(hours=hour),
            delivered=max(0, 9_000 - 4_000 * hour),
            opened=2_400 // (hour + 1),
            clicked=420 // (hour + 1),
        )
        for hour in range(72)
    ]
    days = [
        Stretch(
            begins_at=at(4 + day, 0),
            ends_at=at(5 + day, 0),
            delivered=0,
            opened=60 // (day + 1),
            clicked=9 // (day + 1),
        )
        for day in range(6)
    ]
    return (*hours, *days)


def _variant(number: int, opened: int, clicked: int) -> VariantFigures:
    return VariantFigures(
        variant=number, recipients=1_960, accepted=1_951, delivered=1_940, bounced=6, complained=0, unsubscribed=2,
        opened=opened + 200, opened_without_machines=opened, clicked=clicked + 3, clicked_without_machines=clicked,
    )  # fmt: skip


def _domain(name: str | None, recipients: int) -> DomainFigures:
    return DomainFigures(
        domain=name, recipients=recipients, accepted=recipients, delivered=recipients * 49 // 50, bounced=3,
        complained=0, unsubscribed=1, opened=recipients // 2, opened_without_machines=recipients * 2 // 5,
        clicked=recipients // 10, clicked_without_machines=recipients // 11,
    )  # fmt: skip


_REPORT = IssueReport(
    issue_id=12,
    as_of=at(12, 9, 14),
    waiting=12,
    older_events_wait=False,
    time_zone="UTC",
    counts=SENT.counts,
    delivered=19_301,
    delivery_reported=True,
    bounces=Bounces(total=61, hard=44, soft=15, other=2),
    complaints=2,
    unsubscribes=24,
    opens=Engagement(True, 9_120, 14_201, 7_911, 3_020),
    clicks=Engagement(True, 1_902, 2_704, 1_760, 391),
    rates=Rates(
        of="delivered",
        opened=0.4725,
        opened_without_machines=0.4099,
        clicked=0.0985,
        clicked_without_machines=0.0912,
        unsubscribed=0.0012,
        complained=0.0001,
        bounced=0.0031,
    ),
    over_time=_stretches(),
    links=(
        LinkClicks(
            url="https://systems.example/exactly-once", unique=1_204, unique_without_machines=1_120, total=1_688
        ),
        LinkClicks(
            url="https://systems.example/papers/a-very-long-address/that-goes-on/and-on/until-it-must-break.html",
            unique=512,
            unique_without_machines=488,
            total=630,
        ),
        LinkClicks(url="(unsubscribe)", unique=31, unique_without_machines=24, total=40),
        LinkClicks(url=None, unique=12, unique_without_machines=12, total=12),
    ),
    domains=(_domain("gmail.com", 11_240), _domain("university.example", 3_020), _domain(None, 5_351)),
)
_TESTED = msgspec.structs.replace(
    _REPORT, winner=2, variants=(_variant(1, 702, 81), _variant(2, 790, 133), _variant(0, 0, 0)), over_time=()
)
_UNTRACKED = msgspec.structs.replace(
    _REPORT,
    opens=Engagement(False, None, None, None, None),
    clicks=Engagement(False, None, None, None, None),
    rates=msgspec.structs.replace(
        _REPORT.rates, opened=None, opened_without_machines=None, clicked=None, clicked_without_machines=None
    ),
    links=(),
)


def _overviews(signed_in: SignedIn) -> dict[str, PageView]:
    sending = IssuePage(
        signed_in=signed_in,
        issue=msgspec.structs.replace(_detail(SENDING), parked=2, ab_test=None),
        newsletter_name="The Systems Letter",
        may=_ALL,
        senders=BACKING_OFF,
        event=IssueEvent(
            issue_id=14,
            newsletter_id=1,
            title=SENDING.title,
            status=SENDING.status,
            status_reason=None,
            counts=SENDING.counts,
            parked=0,
            settled_per_s=212.4,
            seconds_left=36,
        ),
        unsent=(
            UnsentRow(id="14-17", subscriber_id=17, status="failed", reason="300 Invalid “To” address"),
            UnsentRow(id="14-204", subscriber_id=204, status="suppressed", reason="Hard bounce on 1 March"),
            UnsentRow(id="14-977", subscriber_id=977, status="excluded", reason="Unsubscribed before sending"),
        ),
        names=_NAMES,
        report=msgspec.structs.replace(_REPORT, as_of=None),
        test=AbTestState(variant_count=3, share_percent=20, decide_by="clicks", sample_min=500, look_at=at(12, 11, 30)),
        page_path="/newsletters/systems/issues/queues-that-account-for-everybody",
        in_archive=True,
        form_key=_KEY,
    )
    return {
        "issue": sending,
        "issue-refused": msgspec.structs.replace(
            sending,
            typed=TypedAction(
                reason="The link in the second paragraph is wrong", note="Postmark's log", choice="give_up"
            ),
            errors={
                "reason": "A reason has at most 300 characters.",
                "choice": "Choose what to do.",
                "note": "A note has at most 1,000 characters.",
                "sure": "Tick the box: a decision cannot be taken back.",
                "winner": "Choose a version.",
                "winner_sure": "Tick the box: the choice cannot be taken back.",
            },
        ),
        "issue-paused": IssuePage(
            signed_in=signed_in,
            flashes=(FlashCode.ISSUE_PAUSED,),
            issue=_detail(PAUSED),
            may=_ALL,
            unsent=(),
            report=None,
            in_archive=False,
            form_key=_KEY,
            form_error="The issue is not paused.",
        ),
        "issue-sent": IssuePage(
            signed_in=signed_in,
            issue=_detail(SENT),
            newsletter_name="The Systems Letter",
            may=_ALL,
            unsent=None,
            report=_REPORT,
            page_path="/newsletters/systems/issues/exactly-once",
            form_key=_KEY,
        ),
        "issue-tested": IssuePage(
            signed_in=signed_in,
            issue=_detail(SENT),
            may=_ANALYST,
            report=_TESTED,
            test=AbTestState(
                variant_count=2,
                share_percent=20,
                decide_by="clicks",
                sample_min=500,
                winner=2,
                reason="rate",
                decided_at=at(1, 11),
            ),
        ),
        "issue-untracked": IssuePage(signed_in=signed_in, issue=_detail(SENT), may=_ANALYST, report=_UNTRACKED),
        "issue-scheduled": IssuePage(signed_in=signed_in, issue=_detail(SCHEDULED), may=_ALL, form_key=_KEY),
        "issue-cancelled": IssuePage(
            signed_in=signed_in,
            issue=_detail(msgspec.structs.replace(DRAFT, status=IssueStatus.CANCELLED)),
            may=_ALL,
            form_key=_KEY,
        ),
        "issue-draft": IssuePage(signed_in=signed_in, issue=_detail(DRAFT), may=_ANALYST),
    }


def issue_samples(signed_in: SignedIn) -> dict[str, PageView]:
    uncertain = DeliveryRow(id="12-204", subscriber_id=204, status="uncertain", parked=True)
    return {
        **_overviews(signed_in),
        "issue-cancel": IssueCancelPage(signed_in=signed_in, issue=SENDING),
        "issue-cancel-refused": IssueCancelPage(
            signed_in=signed_in, issue=SCHEDULED, form_error="The issue was sent already."
        ),
        "issue-recipients": IssueRecipientsPage(
            signed_in=signed_in,
            issue=SENT,
            may=_ALL,
            rows=(
                uncertain,
                DeliveryRow(id="12-17", subscriber_id=17, status="accepted", settled_at=at(1, 9, 1)),
                DeliveryRow(
                    id="12-18",
                    subscriber_id=18,
                    status="failed",
                    reason="406 You tried to send to a recipient that has been marked as inactive",
                    settled_at=at(1, 9, 1),
                ),
            ),
            names=_NAMES,
            may_search=True,
            next_cursor="djE6MTE",
        ),
        "issue-recipients-found": IssueRecipientsPage(
            signed_in=signed_in,
            issue=SENT,
            may=_ALL,
            status="accepted",
            rows=(DeliveryRow(id="12-17", subscriber_id=17, status="accepted", settled_at=at(1, 9, 1)),),
            names=_NAMES,
            may_search=True,
            q="somebody",
            search_is_cut=True,
        ),
        "issue-recipients-not-found": IssueRecipientsPage(
            signed_in=signed_in, issue=SENT, may=_ALL, rows=(), may_search=True, q="nobody@example.com"
        ),
        "issue-recipients-silent": IssueRecipientsPage(
            signed_in=signed_in,
            issue=SENT,
            may=_ALL,
            rows=(DeliveryRow(id="12-17", subscriber_id=17, status="accepted", settled_at=at(1, 9, 1)),),
            names=SubscriberNames(state="silent"),
            may_search=True,
        ),
        "issue-recipients-search-failed": IssueRecipientsPage(
            signed_in=signed_in, issue=SENT, may=_ALL, rows=(), may_search=True, q="ada", search_failed=True
        ),
        "issue-recipients-none": IssueRecipientsPage(
            signed_in=signed_in, issue=SENT, may=_ALL, status="cancelled", rows=(), is_first_page=False
        ),
        "issue-recipients-degraded": IssueRecipientsPage(signed_in=signed_in, issue=SENT, may=_ALL, rows=None),
        "issue-history": IssueHistoryPage(
            signed_in=signed_in,
            issue=SENT,
            may=_ALL,
            steps=(
                StepRow(at=at(1, 9), actor="admin", step="published", version=4),
                StepRow(at=at(1, 8, 40), actor="API key importer", step="approved", version=4, note="Fine. Send it."),
                StepRow(at=at(1, 8), actor="ada", step="created", version=1),
            ),
            steps_cursor="djE6MTE",
            decisions=(
                DecisionRow(
                    action="mark_sent",
                    ranges=((17, 204),),
                    decided_by="admin",
                    note="Postmark's log shows them",
                    decided_at=at(1, 10),
                ),
                DecisionRow(action="retry_failed", decided_by="ada", decided_at=at(1, 9, 30)),
            ),
        ),
        "issue-history-degraded": IssueHistoryPage(
            signed_in=signed_in, issue=SENT, may=_ALL, steps=None, decisions=None, is_first_page=False
        ),
        "issue-history-draft": IssueHistoryPage(signed_in=signed_in, issue=DRAFT, steps=(), decisions=msgspec.UNSET),
        "delivery": DeliveryPage(
            signed_in=signed_in,
            delivery=uncertain,
            issue_id=12,
            issue_title=SENT.title,
            entries=(
                TimelineEntry(at=at(1, 9), title="Queued", icon="publishing"),
                TimelineEntry(
                    at=at(1, 9, 1),
                    title="A call to the mail provider began",
                    detail="500 mails by sender-1",
                    icon="sending",
                ),
                TimelineEntry(
                    at=at(1, 9, 2), title="The call ended", detail="Unknown, connection lost", icon="sending"
                ),
            ),
            may_decide=True,
            names=_NAMES,
            form_key=_KEY,
        ),
        "delivery-refused": DeliveryPage(
            signed_in=signed_in,
            delivery=uncertain,
            issue_id=12,
            entries=(),
            may_decide=True,
            form_key=_KEY,
            typed=TypedAction(choice="mark_sent", note="It was there"),
            errors={"sure": "Tick the box: a decision cannot be taken back."},
        ),
        "delivery-sent": DeliveryPage(
            signed_in=signed_in,
            flashes=(FlashCode.DELIVERY_DECIDED,),
            delivery=DeliveryRow(id="12-17", subscriber_id=17, status="accepted", settled_at=at(1, 9, 1)),
            issue_id=12,
            issue_title=SENT.title,
            entries=(
                TimelineEntry(at=at(1, 9), title="Queued", icon="publishing"),
                TimelineEntry(at=at(1, 9, 1), title="Accepted by the mail provider", icon="success"),
                TimelineEntry(at=at(1, 9, 2), title="The receiving mail server took it", icon="inbox"),
                TimelineEntry(
                    at=at(2, 9), title="It bounced", detail="type: SoftBounce, details: mailbox full", icon="error"
                ),
            ),
        ),
    }
