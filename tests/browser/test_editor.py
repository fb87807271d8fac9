"""Writing an issue in headless Chromium, against real processes: every word is kept, whatever happens meanwhile."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from broadsheet_local.system import LocalSystem
from harness.browser import DESK, PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import SAVED_WITHIN_MS, begin_issue, log_in, newsletter_mails, until_saved
from harness.waiting import eventually

pytestmark = pytest.mark.browser

READERS = 25
_PREVIEW = "document.querySelector('[data-preview-frame]').contentWindow"


@asynccontextmanager
async def writing(browser: Browser, processes: LocalSystem, viewport: dict[str, int] = DESK) -> AsyncIterator[Tab]:
    """A tab of somebody who has logged in, in a browser of their own."""
    async with opened_tab(browser, viewport=viewport) as tab:
        await log_in(tab.page, processes)
        yield tab


async def test_an_issue_is_written_checked_tested_and_sent_and_everybody_gets_it_once(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    stored.subscribers(READERS, prefix="reader")
    async with writing(browser, processes) as tab:
        page = tab.page
        editor = await begin_issue(page, processes)
        await page.get_by_label("Title").fill("Harbours of the north")
        content = page.get_by_label("Content", exact=True)
        await content.fill("Dear reader,\n\nthe harbours are quiet. {{ subscriber.nmae }}")
        await until_saved(page)
        # What cannot be sent is said with its place, and the place is one click away.
        fault = page.locator("[data-faults] a")
        await expect(fault).to_have_text("Content, line 3", timeout=SAVED_WITHIN_MS)
        await fault.click()
        assert await content.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") != ""
        await content.fill("Dear reader,\n\nthe harbours are quiet.\n\n")
        await content.press("Control+End")
        await content.press("Control+b")
        await page.keyboard.type("Stay warm")
        assert (await content.input_value()).endswith("**Stay warm**")
        await page.get_by_label("Insert a merge field").select_option(label="The reader's name")
        await expect(page.locator("[data-faults]")).to_be_hidden(timeout=SAVED_WITHIN_MS)
        await until_saved(page)
        mail = page.frame_locator("[data-preview-frame]")
        await expect(mail.locator("strong", has_text="Stay warm")).to_be_visible(timeout=SAVED_WITHIN_MS)
        await page.screenshot(path=tmp_path / "editor.png", full_page=True)
        await page.get_by_role("button", name="Checks").click()
        await expect(page.locator("h1")).to_have_text("Checks")
        await page.goto(editor.replace("/edit", "/send"))
        await expect(page.locator(".mail-head")).to_contain_text("FromNewsletter")
        await page.get_by_label("To", exact=True).fill("reader-1@example.com")
        await page.get_by_role("button", name="Send a test mail").click()
        await expect(page.get_by_text("The test mail is on its way.")).to_be_visible()
        await page.screenshot(path=tmp_path / "send.png", full_page=True)
        await page.get_by_role("button", name=f"Send to {READERS} people").click()
        await expect(page.get_by_text("The issue is published.")).to_be_visible()
        await eventually(lambda: newsletter_mails(inbox) >= READERS, within_s=60, what="everybody has it")
        assert tab.complaints == []
    sent = [mail for mail in inbox.messages() if mail.stream == "broadcast"]
    assert len(sent) == len({mail.to for mail in sent}) == READERS


async def test_the_preview_keeps_its_place_and_the_cursor_stays_in_the_text(
    processes: LocalSystem, browser: Browser, tmp_path: Path
) -> None:
    lines = [f"Harbour number {number} is quiet." for number in range(1, 121)]
    async with writing(browser, processes) as tab:
        page = tab.page
        await begin_issue(page, processes)
        await page.get_by_label("Title").fill("Harbours")
        content = page.get_by_label("Content", exact=True)
        await content.fill("\n\n".join(lines))
        shown = page.frame_locator("[data-preview-frame]")
        await expect(shown.get_by_text(lines[-1])).to_be_attached(timeout=SAVED_WITHIN_MS)
        await page.evaluate(f"{_PREVIEW}.scrollTo(0, 1500)")
        await content.evaluate("area => { area.focus(); area.setSelectionRange(0, 0); }")
        await page.keyboard.type("Good morning. ")
        await expect(shown.get_by_text("Good morning.")).to_be_attached(timeout=SAVED_WITHIN_MS)
        assert await page.evaluate(f"{_PREVIEW}.scrollY") == 1500
        assert await content.evaluate(
            "area => document.activeElement === area && [area.selectionStart, area.selectionEnd]"
        ) == [14, 14]
        assert await page.locator("[data-frame-holder] iframe").count() == 1
        # A shorter mail is shown to its end; when it is long again, it is where it was.
        await content.fill("Short.")
        await expect(shown.get_by_text("Short.")).to_be_attached(timeout=SAVED_WITHIN_MS)
        assert await page.evaluate(f"{_PREVIEW}.scrollY") < 1500
        await content.fill("\n\n".join([*lines, "And one more."]))
        await expect(shown.get_by_text("And one more.")).to_be_attached(timeout=SAVED_WITHIN_MS)
        assert await page.evaluate(f"{_PREVIEW}.scrollY") == 1500
        await page.screenshot(path=tmp_path / "preview.png")
        assert tab.complaints == []


async def test_a_link_in_the_preview_opens_apart_and_the_preview_stays(
    processes: LocalSystem, browser: Browser
) -> None:
    async with writing(browser, processes) as tab:
        page = tab.page
        await begin_issue(page, processes)
        await page.get_by_label("Title").fill("Harbours")
        await page.get_by_label("Content", exact=True).fill("[Read on](https://example.com/read)")
        link = page.frame_locator("[data-preview-frame]").get_by_role("link", name="Read on")
        await expect(link).to_be_visible(timeout=SAVED_WITHIN_MS)
        await page.context.route("https://example.com/**", lambda route: route.fulfill(body="There"))
        async with page.context.expect_page() as opened:
            await link.click()
        apart = await opened.value
        await expect(apart.get_by_text("There")).to_be_visible()
        assert await apart.evaluate("window.opener") is None
        await expect(link).to_be_visible()


async def test_without_scripts_an_issue_is_written_and_sent(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    stored.subscribers(2, prefix="reader")
    async with opened_tab(browser, java_script_enabled=False, viewport=PHONE) as tab:
        await log_in(tab.page, processes)
        await begin_issue(tab.page, processes)
        await tab.page.get_by_label("Title").fill("In plain forms")
        await tab.page.get_by_label("Content", exact=True).fill("Dear reader,\n\nno script was run.")
        await tab.page.get_by_role("button", name="Save").click()
        await expect(tab.page.get_by_text("The draft is saved.")).to_be_visible()
        await expect(tab.page.get_by_label("Content", exact=True)).to_have_value("Dear reader,\n\nno script was run.")
        await tab.page.get_by_role("button", name="Review and send").click()
        await tab.page.get_by_role("button", name="Send to 2 people").click()
        await expect(tab.page.get_by_text("The issue is published.")).to_be_visible()
        await eventually(lambda: newsletter_mails(inbox) == 2, within_s=60, what="both have it")
        assert tab.complaints == []


async def test_two_tabs_in_one_draft_lose_nothing_and_the_second_is_told(
    processes: LocalSystem, browser: Browser, stored: Seed, tmp_path: Path
) -> None:
    async with writing(browser, processes) as first, writing(browser, processes) as second:
        address = await begin_issue(first.page, processes)
        await first.page.get_by_label("Content", exact=True).fill("The first line.")
        await until_saved(first.page)
        await second.page.goto(address)
        await second.page.get_by_label("Content", exact=True).fill("The first line.\nOf the second tab.")
        await until_saved(second.page)
        await first.page.get_by_label("Content", exact=True).fill("The first line.\nOf the first tab.")
        told = first.page.locator("[data-notice=conflict]")
        await expect(told).to_contain_text("Nothing is lost", timeout=SAVED_WITHIN_MS)
        await expect(first.page.get_by_label("Content", exact=True)).to_have_value("The first line.\nOf the first tab.")
        await told.get_by_role("button", name="Compare both").click()
        await expect(first.page.locator(".line-theirs")).to_contain_text("Of the second tab.")
        await expect(first.page.locator(".line-mine")).to_contain_text("Of the first tab.")
        await first.page.screenshot(path=tmp_path / "conflict.png", full_page=True)
        await first.page.get_by_role("button", name="Save", exact=True).click()
        await expect(first.page.get_by_text("The draft is saved.")).to_be_visible()
        await first.page.get_by_role("link", name="Revisions").click()
        await first.page.get_by_role("link", name=re.compile("^Version 3")).click()
        await expect(first.page.locator(".line-removed")).to_contain_text("Of the second tab.")
        await first.page.get_by_role("button", name="Bring this version back").click()
        await expect(first.page.get_by_label("Content", exact=True)).to_have_value(
            "The first line.\nOf the second tab."
        )
        assert [said for said in first.complaints if "409" not in said] == []
        assert second.complaints == []


async def test_a_session_that_ends_while_writing_loses_no_word(
    processes: LocalSystem, browser: Browser, stored: Seed
) -> None:
    async with writing(browser, processes) as tab:
        await begin_issue(tab.page, processes)
        content = tab.page.get_by_label("Content", exact=True)
        await content.fill("Before.")
        await until_saved(tab.page)
        await tab.page.context.clear_cookies()
        await content.fill("Before. And after the session had ended.")
        told = tab.page.locator("[data-notice=session]")
        await expect(told).to_contain_text("Nothing is lost", timeout=SAVED_WITHIN_MS)
        other = await tab.page.context.new_page()
        await log_in(other, processes)
        await tab.page.bring_to_front()
        await told.get_by_role("button", name="I have logged in").click()
        await until_saved(tab.page)
        await expect(told).to_be_hidden()
        await tab.page.reload()
        await expect(content).to_have_value("Before. And after the session had ended.")


async def _crash(page: Page) -> None:
    """Nothing of the page runs any more, no last event either."""
    session = await page.context.new_cdp_session(page)
    async with page.expect_event("crash"):
        sent = asyncio.ensure_future(session.send("Page.crash"))
    sent.cancel()


async def test_words_written_offline_are_saved_later_and_survive_a_crash_of_the_tab(
    processes: LocalSystem, browser: Browser, stored: Seed
) -> None:
    async with writing(browser, processes) as tab:
        address = await begin_issue(tab.page, processes)
        content = tab.page.get_by_label("Content", exact=True)
        context = tab.page.context
        await context.set_offline(True)
        await content.fill("Written in a tunnel.")
        await expect(tab.page.locator("[data-notice=offline]")).to_be_visible(timeout=SAVED_WITHIN_MS)
        await context.set_offline(False)
        await until_saved(tab.page)
        await expect(tab.page.locator("[data-notice=offline]")).to_be_hidden()
        await context.set_offline(True)
        await content.fill("Written in a tunnel, and then the battery was empty.")
        await expect(tab.page.locator("[data-notice=offline]")).to_be_visible(timeout=SAVED_WITHIN_MS)
        # Not closed: on its way out a page saves once more, and its being offline ends with it.
        await _crash(tab.page)
        await tab.page.close()
        await context.set_offline(False)
        again = await context.new_page()
        await again.goto(address)
        area = again.get_by_label("Content", exact=True)
        await expect(area).to_have_value("Written in a tunnel.")
        await again.get_by_role("button", name="Put them back").click()
        await expect(area).to_have_value("Written in a tunnel, and then the battery was empty.")
        await until_saved(again)


async def test_an_issue_that_is_sent_while_it_is_open_says_so(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    stored.subscribers(1, prefix="reader")
    async with writing(browser, processes) as open_tab, writing(browser, processes) as sender:
        address = await begin_issue(open_tab.page, processes)
        await open_tab.page.get_by_label("Title").fill("Sent from elsewhere")
        await open_tab.page.get_by_label("Content", exact=True).fill("Dear reader,")
        await until_saved(open_tab.page)
        await sender.page.goto(address.replace("/edit", "/send"))
        await sender.page.get_by_role("button", name="Send to 1 person").click()
        await expect(sender.page.get_by_text("The issue is published.")).to_be_visible()
        told = open_tab.page.locator("[data-notice=no-draft]")
        await expect(told).to_contain_text("no draft any more", timeout=SAVED_WITHIN_MS)
        await expect(open_tab.page.get_by_label("Content", exact=True)).to_have_value("Dear reader,")


async def test_words_typed_before_the_scripts_have_loaded_are_saved_too(
    processes: LocalSystem, browser: Browser, stored: Seed
) -> None:
    async with writing(browser, processes) as tab:
        address = await begin_issue(tab.page, processes)
        held: list[Route] = []

        async def hold(route: Route) -> None:
            held.append(route)

        await tab.page.route(re.compile(r"/static/.*\.js$"), hold)
        await tab.page.goto(address, wait_until="commit")
        await tab.page.get_by_label("Content", exact=True).fill("Typed at once.")
        await eventually(lambda: len(held) >= 4, what="the page asks for its scripts")
        for route in held:
            await route.continue_()
        await until_saved(tab.page)


async def test_the_way_back_puts_no_old_text_over_a_newer_one(
    processes: LocalSystem, browser: Browser, stored: Seed
) -> None:
    async with writing(browser, processes) as first, writing(browser, processes) as second:
        address = await begin_issue(first.page, processes)
        await first.page.get_by_label("Content", exact=True).fill("Of the first tab.")
        await until_saved(first.page)
        await first.page.get_by_role("link", name="Revisions").click()
        await second.page.goto(address)
        await second.page.get_by_label("Content", exact=True).fill("Of the second tab.")
        await until_saved(second.page)
        await first.page.go_back()
        await expect(first.page.get_by_label("Content", exact=True)).to_have_value("Of the second tab.")


async def test_words_that_were_kept_are_compared_with_what_was_saved_since(
    processes: LocalSystem, browser: Browser, stored: Seed
) -> None:
    async with writing(browser, processes) as tab, writing(browser, processes) as other:
        address = await begin_issue(tab.page, processes)
        await tab.page.get_by_label("Content", exact=True).fill("Before.")
        await until_saved(tab.page)
        context = tab.page.context
        await context.set_offline(True)
        await tab.page.get_by_label("Content", exact=True).fill("Before. Offline.")
        await expect(tab.page.locator("[data-notice=offline]")).to_be_visible(timeout=SAVED_WITHIN_MS)
        await tab.page.close(run_before_unload=False)
        await other.page.goto(address)
        await other.page.get_by_label("Content", exact=True).fill("Before. Elsewhere.")
        await until_saved(other.page)
        await context.set_offline(False)
        again = await context.new_page()
        await again.goto(address)
        await again.get_by_role("button", name="Put them back").click()
        await expect(again.locator("[data-notice=conflict]")).to_be_visible(timeout=SAVED_WITHIN_MS)
        await expect(again.get_by_label("Content", exact=True)).to_have_value("Before. Offline.")
        await other.page.reload()
        await expect(other.page.get_by_label("Content", exact=True)).to_have_value("Before. Elsewhere.")
