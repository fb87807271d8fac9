"""An operator through an outage of the mail provider, in headless Chromium, against real processes."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import log_in

pytestmark = pytest.mark.browser

READERS = 1_200
OUTAGE = {"kind": "status", "status": 503, "error_code": 100, "match": {"path": "/email/batch"}}
REASON = "The provider is down"


async def test_an_operator_sees_an_outage_pauses_and_resumes_and_all_are_sent_once(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    stored.subscribers(READERS)
    inbox.fault(OUTAGE)
    async with opened_tab(browser, viewport={"width": 1280, "height": 900}) as tab:
        await log_in(tab.page, processes)
        await _publish(tab)
        await _see_it_back_off(tab, tmp_path)
        await _pause(tab, tmp_path)
        inbox.heal()
        assert inbox.sends() == {}
        await _resume(tab)
        await _watch_to_the_end(tab, tmp_path)
        assert tab.complaints == []
    sends = inbox.sends()
    assert len(sends) == READERS
    assert set(sends.values()) == {1}


async def _publish(tab: Tab) -> None:
    await tab.page.get_by_role("link", name="Quick publish").click()
    await tab.page.get_by_label("Title").fill("Through the outage")
    await tab.page.get_by_label("Plain text").fill("Hello")
    await tab.page.get_by_label("HTML", exact=True).fill("<p>Hello</p>")
    await tab.page.get_by_role("button", name="Publish now").click()
    await expect(tab.page.get_by_text("The newsletter issue has been accepted")).to_be_visible()


async def _see_it_back_off(tab: Tab, folder: Path) -> None:
    """On the home page, by itself."""
    page = tab.page
    await page.get_by_role("link", name="Home", exact=True).click()
    await page.evaluate("() => { window.staysTheSamePage = true; }")
    await expect(page.locator(".sending")).to_contain_text("Sending is backing off", timeout=60_000)
    await expect(page.locator(".sending")).to_contain_text("Reason:")
    tasks = page.get_by_role("region", name="What waits for you")
    await expect(tasks).to_contain_text("Sending is backing off")
    assert await page.evaluate("() => window.staysTheSamePage")
    await page.screenshot(path=folder / "61-backing-off.png", full_page=True)


async def _pause(tab: Tab, folder: Path) -> None:
    page = tab.page
    await page.keyboard.press("g")
    await page.keyboard.press("o")
    await expect(page.locator("h1")).to_have_text("Sending")
    await expect(page.get_by_role("region", name="What waits")).to_contain_text("Through the outage")
    await page.get_by_label("Reason for the pause").fill(REASON)
    await page.get_by_role("button", name="Pause all sending").click()
    await expect(page.get_by_text("All sending is paused.")).to_be_visible()
    await expect(page.locator(".sending")).to_contain_text(REASON)
    await expect(page.get_by_role("region", name="Who changed what")).to_be_visible()
    await tab.look(folder / "62-paused.png")


async def _resume(tab: Tab) -> None:
    await tab.page.get_by_role("button", name="Resume sending").click()
    await expect(tab.page.get_by_text("Sending is resumed.")).to_be_visible()


async def _watch_to_the_end(tab: Tab, folder: Path) -> None:
    page = tab.page
    await page.get_by_role("region", name="What waits").get_by_role("link", name="Through the outage").click()
    await expect(page.locator("h1")).to_have_text("Through the outage")
    await expect(page.locator("[data-live='counts.accepted']")).to_have_text(f"{READERS:,}", timeout=60_000)
    await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    await tab.look(folder / "63-sent.png")
