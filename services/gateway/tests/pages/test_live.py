"""The figures that refresh themselves, in headless Chromium under the gateway's content security policy."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.admin.home.views import DashboardPage
from broadsheet_gateway.admin.issue.issue_views import IssueCounts, IssueDetail, IssueStatus, progress_of
from broadsheet_gateway.admin.issue.views import IssuePage, UnsentRow
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.views import PageView, SignedIn
from harness.http.served_views import Answer, answer_sample, served

pytestmark = pytest.mark.browser

_TURNS_MAX = 200
_ADMIN = SignedIn(username="admin", csrf_token="token", permissions=GRANTABLE)
_FIRST_PUBLISHED = datetime(2026, 3, 1, 9, tzinfo=UTC)


def _issue(status: IssueStatus, accepted: int, failed: int = 0) -> IssueDetail:
    return IssueDetail(
        id=7,
        title="Live figures",
        status=status,
        counts=IssueCounts(audience=2000, accepted=accepted, failed=failed, pending=2000 - accepted - failed),
        created_at=_FIRST_PUBLISHED,
        published_at=_FIRST_PUBLISHED,
        finished_at=_FIRST_PUBLISHED if status is IssueStatus.SENT else None,
        created_by="admin",
        format="html",
        content="<p>Hello</p>",
        text_content="Hello",
    )


class _Site:
    """A gateway of two pages about one issue, which the test moves on. Without a session all leads to the login."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.issue = _issue(IssueStatus.SENDING, accepted=500)
        self.has_session = True
        self.progress_requests = 0

    def answer(self, path: str) -> Answer:
        if path.startswith(("/static/", "/sample/")):
            return answer_sample(self.pages, sample_pages(), path)
        if not self.has_session:
            return Answer(303, headers=(("Location", "/login"),))
        match path:
            case "/admin/issues/7/progress":
                self.progress_requests += 1
                return Answer(200, "application/json", msgspec.json.encode(progress_of(self.issue)))
            case "/admin/issues/7":
                unsent = (
                    (UnsentRow(subscriber_id=4, status="failed", reason="Refused"),) if self.issue.counts.failed else ()
                )
                return self._page(IssuePage(signed_in=_ADMIN, issue=self.issue, unsent=unsent))
            case "/admin/dashboard":
                return self._page(DashboardPage(signed_in=_ADMIN, issues=(self.issue,)))
            case _:
                return Answer(404)

    def _page(self, view: PageView) -> Answer:
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
    """A page with a clock that the test turns, and that complained about nothing when the test ends.

    It is closed before the site is: a site that goes away under a page is a complaint.
    """
    complaints: list[str] = []
    context = browser.new_context()
    page = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.clock.install()
    yield page
    context.close()
    assert complaints == []


def _turn_clock_until(page: Page, shown: Locator, text: str) -> None:
    """Let seconds pass for the page, while its requests take the time that they take, until `text` is shown."""
    for _ in range(_TURNS_MAX):
        if text in shown.inner_text():
            return
        page.clock.run_for(2000)
    raise AssertionError(f"never shown: {text!r}, but {shown.inner_text()!r}")


def test_an_issue_page_follows_the_issue_to_its_end(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/issues/7")
    accepted = page.get_by_role("row", name="Accepted")
    expect(accepted).to_contain_text("500")

    served.issue = _issue(IssueStatus.SENDING, accepted=1500, failed=20)
    _turn_clock_until(page, accepted, "1,500")
    expect(page.get_by_role("row", name="Pending")).to_contain_text("480")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "76")
    expect(page.locator(".part-failed[data-live-segment]")).to_have_attribute("x", "75%")
    expect(page.locator(".part-failed[data-live-segment]")).to_have_attribute("width", "1%")

    served.issue = _issue(IssueStatus.SENT, accepted=1980, failed=20)
    _turn_clock_until(page, page.locator(".chip"), "Sent")
    expect(page.get_by_text("Finished 1 March 2026")).to_be_visible()
    expect(page.get_by_role("row", name="Subscriber 4")).to_contain_text("Refused")
    polls = served.progress_requests
    page.clock.run_for(60_000)
    page.evaluate("fetch('/admin/issues/7')")
    assert served.progress_requests == polls


def test_the_dashboard_keeps_the_focus_when_a_status_changes(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/dashboard")
    link = page.get_by_role("link", name="Live figures")
    link.focus()
    served.issue = _issue(IssueStatus.PAUSED, accepted=700)
    _turn_clock_until(page, page.locator(".chip"), "Paused")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "35")
    expect(link).to_be_focused()
    served.issue = _issue(IssueStatus.PAUSED, accepted=1000)
    _turn_clock_until(page, page.locator(".meter-text"), "1,000 of 2,000 settled (50%)")
    expect(page.locator(".part-accepted")).to_have_attribute("width", "50%")


def test_polling_ends_with_a_word_when_the_session_does(page: Page, site: tuple[_Site, str]) -> None:
    served, address = site
    page.goto(f"{address}/admin/issues/7")
    note = page.locator("[data-live-note]")
    expect(note).to_have_text("The figures update by themselves.")
    served.has_session = False
    _turn_clock_until(page, note, "The figures no longer update by themselves.")
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


def test_no_page_is_wider_than_a_phone(browser: Browser, site: tuple[_Site, str]) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    widths = {}
    for name in sample_pages():
        page.goto(f"{site[1]}/sample/{name}")
        widths[name] = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert widths == dict.fromkeys(sample_pages(), 360)


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
