"""The figures that keep themselves up to date, in headless Chromium under the gateway's content security policy."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_common.event_streams.messages import EVENT_STREAM_MEDIA_TYPE
from broadsheet_gateway.admin.charts import PACE_OF_PAUSED
from broadsheet_gateway.admin.home.events import DashboardEvent, UncertainIssue, sign_of, tasks_of
from broadsheet_gateway.admin.home.views import DashboardPage, LatestIssue, SendingIssue
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueEvent, IssueStatus
from broadsheet_gateway.admin.issue.views import IssuePage, IssueRights, Replica, Senders, SendingState, UnsentRow
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.views import PageView, SignedIn
from harness.http.served_views import Answer, answer_sample, served

pytestmark = pytest.mark.browser

_TRIES_MAX = 200
_SHIFT_MAX = 0.001
"""Words beside a number that gets another digit may move; nothing else may."""
_ADMIN = SignedIn(username="admin", csrf_token="token", permissions=GRANTABLE)
_REPLICA = Replica(id="1", host="sender-1", seen_at=datetime(2026, 3, 1, 9, tzinfo=UTC))
_ALL = IssueRights(write=True, publish=True, decide=True, deliveries=True)
_FIRST_PUBLISHED = datetime(2026, 3, 1, 9, tzinfo=UTC)
_SHIFTED = """
window.shifted = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifted += entry.value; })
  .observe({type: "layout-shift", buffered: true});
"""


def _issue(status: IssueStatus, accepted: int, failed: int = 0, parked: int = 0) -> IssueDetail:
    return IssueDetail(
        id=7,
        title="Live figures",
        status=status,
        counts=IssueCounts(audience=2000, accepted=accepted, failed=failed, pending=2000 - accepted - failed),
        created_at=_FIRST_PUBLISHED,
        published_at=_FIRST_PUBLISHED,
        finished_at=_FIRST_PUBLISHED if status is IssueStatus.SENT else None,
        parked=parked,
        created_by="admin",
        format="html",
        content="<p>Hello</p>",
        text_content="Hello",
    )


class _LastEvent(IssueEvent, frozen=True, kw_only=True):
    """As the service sends it."""

    is_final: bool


class _Sending(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    reason: str | None = None
    back_off_until: datetime | None = None
    replicas: int = 1


class _WholeEvent(DashboardEvent, frozen=True, kw_only=True):
    """As the service sends it."""

    sending: _Sending


class _Site:
    """A gateway of two pages about one issue, which the test moves on. Without a session all leads to the login.

    Its streams say the state of now and end: a browser comes back after the `retry` that they ask for.
    """

    def __init__(self) -> None:
        self.pages = Pages()
        self.issue = _issue(IssueStatus.SENDING, accepted=500)
        self.uncertain: tuple[UncertainIssue, ...] = ()
        self.sending = self.shown_sending = SendingState(state="running")
        self.has_session = True
        self.streams = 0
        self.loads = 0

    def answer(self, path: str) -> Answer:
        if path.startswith(("/static/", "/sample/")):
            return answer_sample(self.pages, sample_pages(), path)
        if not self.has_session:
            return Answer(401) if path.startswith("/api/") else Answer(303, headers=(("Location", "/login"),))
        match path:
            case "/api/v1/issues/7/events":
                return self._stream("issue", self._event())
            case "/api/v1/events":
                return self._stream("dashboard", self._dashboard())
            case "/admin/issues/7":
                unsent = (
                    (UnsentRow(subscriber_id=4, status="failed", reason="Refused"),) if self.issue.counts.failed else ()
                )
                return self._page(IssuePage(signed_in=_ADMIN, issue=self.issue, unsent=unsent, may=_ALL))
            case "/admin/dashboard":
                return self._page(self._home())
            case _:
                return Answer(404)

    def _event(self) -> _LastEvent:
        return _LastEvent(
            issue_id=7,
            newsletter_id=1,
            title=self.issue.title,
            status=self.issue.status,
            status_reason=None,
            counts=self.issue.counts,
            parked=self.issue.parked,
            settled_per_s=100.0,
            seconds_left=90,
            is_final=not self.issue.status.is_moving,
        )

    def _dashboard(self) -> _WholeEvent:
        sending = self.sending
        return _WholeEvent(
            sending=_Sending(state=sending.state, reason=sending.reason, back_off_until=sending.back_off_until),
            issues=(self._event(),) if self.issue.status.is_moving else (),
            uncertain=self.uncertain,
            failing_webhooks=None,
            imports_with_rejects=(),
        )

    def _home(self) -> DashboardPage:
        event = self._dashboard()
        is_moving = self.issue.status.is_moving
        senders = Senders(sending=self.shown_sending, replicas=(_REPLICA,))
        sending = (SendingIssue(issue=self.issue),) if is_moving else ()
        self.shown_sending = self.sending
        return DashboardPage(
            signed_in=_ADMIN,
            senders=senders,
            sending=sending,
            latest=() if is_moving else (LatestIssue(issue=self.issue),),
            tasks=tuple(tasks_of(event, {}, sees_imports=True, zone="UTC")),
            sign=sign_of(event, senders, sending),
        )

    def _stream(self, name: str, event: object) -> Answer:
        self.streams += 1
        data = msgspec.json.encode(event).decode()
        content = f"retry: 200\n\nid: {self.streams}\nevent: {name}\ndata: {data}\n\n".encode()
        return Answer(200, EVENT_STREAM_MEDIA_TYPE, content)

    def _page(self, view: PageView) -> Answer:
        self.loads += 1
        return Answer(200, content=self.pages.render(view).encode())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = (os.environ.get("CHROMIUM", "chromium"), "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next((found for name in names if (found := shutil.which(name))), None)
    assert program is not None, "the browser tests need Chromium; set CHROMIUM to its path"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def site() -> Iterator[tuple[_Site, str]]:
    site = _Site()
    with served(site.answer) as address:
        yield site, address


@pytest.fixture
def page(browser: Browser, site: tuple[_Site, str]) -> Iterator[Page]:
    """A page that complained about nothing when the test ends, but for what a session that is over is answered.

    It is closed before the site is: a site that goes away under a page is a complaint.
    """
    complaints: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(_SHIFTED)

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "401 (Unauthorized)" not in message.text:
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    # What was under way when the page is closed is cut off, which is no complaint about the page.
    said = list(complaints)
    context.close()
    assert said == []


def test_an_issue_page_follows_the_issue_to_its_end(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/issues/7")
    accepted = page.get_by_role("row", name="Accepted")
    expect(accepted).to_contain_text("500")
    expect(page.locator("[data-live=pace]")).to_have_text("100 a second · about 2 minutes left")

    served.issue = _issue(IssueStatus.SENDING, accepted=1500, failed=20)
    expect(accepted).to_contain_text("1,500")
    expect(page.get_by_role("row", name="Pending")).to_contain_text("480")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "76")
    expect(page.locator(".part-failed[data-live-segment]")).to_have_attribute("x", "75%")
    expect(page.locator(".part-failed[data-live-segment]")).to_have_attribute("width", "1%")
    assert page.evaluate("window.shifted") < _SHIFT_MAX
    assert served.loads == 1, "figures alone are no reason to load the page anew"

    served.issue = _issue(IssueStatus.SENT, accepted=1980, failed=20)
    expect(page.locator(".chip")).to_have_text("Sent")
    expect(page.get_by_text("Finished 1 March 2026")).to_be_visible()
    expect(page.get_by_role("row", name="Subscriber 4")).to_contain_text("Refused")
    expect(page.locator("[data-live-note]")).to_have_text("Live figures: Sent")
    streams = served.streams
    page.wait_for_timeout(1_000)
    assert served.streams == streams, "after the last event nobody comes back"


def test_what_somebody_is_typing_stays(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/issues/7")
    page.get_by_label("Reason for the pause").fill("The link is wrong")
    page.get_by_role("link", name="Refresh the figures").focus()
    served.issue = _issue(IssueStatus.SENDING, accepted=700, failed=20, parked=3)
    expect(page.get_by_role("row", name="Subscriber 4")).to_be_visible()
    expect(page.get_by_label("Reason for the pause")).to_have_value("The link is wrong")


def test_the_dashboard_keeps_the_focus_when_a_status_changes(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/dashboard")
    link = page.get_by_role("link", name="Live figures")
    link.focus()
    served.issue = _issue(IssueStatus.PAUSED, accepted=700)
    expect(page.locator(".chip")).to_have_text("Paused")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "35")
    expect(link).to_be_focused()
    served.issue = _issue(IssueStatus.PAUSED, accepted=1000)
    expect(page.locator(".meter-text")).to_have_text("1,000 of 2,000 settled (50%)")
    expect(page.locator(".part-accepted")).to_have_attribute("width", "50%")
    expect(page.locator("[data-live=pace]")).to_have_text(PACE_OF_PAUSED)
    assert page.evaluate("window.shifted") < _SHIFT_MAX


def test_the_dashboard_learns_what_waits_and_when_an_issue_is_done(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/dashboard")
    expect(page.get_by_text("Nothing. All is well.")).to_be_visible()
    served.uncertain = (UncertainIssue(7, 1, 5, 2),)
    expect(page.get_by_text("2 deliveries of issue 7 may or may not have been sent.")).to_be_visible()
    served.issue = _issue(IssueStatus.SENT, accepted=2000)
    expect(page.locator(".chip")).to_have_text("Sent")
    expect(page.get_by_text("No issue is being sent.")).to_be_visible()


def test_a_page_that_was_older_than_the_event_is_taken_anew(page: Page, site: tuple[_Site, str]) -> None:
    """The state of sending comes from another answer than the first event."""
    served, address = site
    until = datetime(2026, 3, 1, 9, 0, 30, 500_000, tzinfo=UTC)
    served.sending = SendingState(state="backing_off", reason="Postmark answered 503", back_off_until=until)
    page.goto(f"{address}/admin/dashboard")
    expect(page.locator(".sending")).to_contain_text("backing off until 1 March 2026, 09:00 UTC")
    loads = served.loads
    assert loads == 1 + 1
    page.wait_for_timeout(1_000)
    assert served.loads == loads, "what is shown is what the event says"


def test_watching_ends_with_a_word_when_the_session_does(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.clock.install()
    page.goto(f"{address}/admin/issues/7")
    note = page.locator("[data-live-note]")
    expect(note).to_have_text("The figures update by themselves.")
    served.has_session = False
    for _ in range(_TRIES_MAX):
        if note.inner_text() == "The figures no longer update by themselves.":
            break
        page.clock.run_for(60_000)
    expect(note).to_have_text("The figures no longer update by themselves.")
    expect(page.get_by_role("link", name="Refresh the figures")).to_be_visible()


def test_without_scripts_a_link_refreshes(browser: Browser, site: tuple[_Site, str]) -> None:
    served, address = site
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/admin/issues/7")
    served.issue = _issue(IssueStatus.SENDING, accepted=900)
    page.get_by_role("link", name="Refresh the figures").click()
    expect(page.get_by_role("row", name="Accepted")).to_contain_text("900")
    context.close()


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(page: Page, site: tuple[_Site, str]) -> None:
    page.goto(f"{site[1]}/sample/dashboard-degraded")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    expect(skip).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_form_sent_back_opens_at_what_is_wrong(page: Page, site: tuple[_Site, str]) -> None:
    page.goto(f"{site[1]}/sample/home-errors")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("link", name="E-mail address").click()
    expect(page.get_by_label("E-mail address")).to_be_focused()
