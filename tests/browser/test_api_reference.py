"""The API reference in a real browser: under the page's policy, it shows the API and calls it."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from broadsheet_local.system import LocalSystem
from harness.browser import DESK, opened_tab
from harness.seeding import Seed
from harness.steps import log_in

pytestmark = pytest.mark.browser


async def test_an_author_reads_the_reference_and_tries_the_api(
    processes: LocalSystem, browser: Browser, stored: Seed, tmp_path: Path
) -> None:
    """Reading goes by the session's cookie, and a change also carries its token."""
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(page, processes)
        await page.goto(f"{home}/docs")
        await expect(page.locator(".opblock-tag-section")).not_to_have_count(0)
        await page.screenshot(path=tmp_path / "50-reference.png")
        await _open_tag(page, "Attributes")
        await page.screenshot(path=tmp_path / "51-tag.png")
        assert await _try(page, "createAttribute", tmp_path) == "201"
        assert stored.execute("SELECT name FROM subscriptions.attribute") == [("city",)]
        assert await _try(page, "listAttributes", tmp_path) == "200"
        assert tab.complaints == []


async def test_a_visitor_tries_the_api_with_a_key(
    processes: LocalSystem, browser: Browser, stored: Seed, tmp_path: Path
) -> None:
    home = processes.addresses.gateway_url
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        await page.goto(f"{home}/docs")
        await page.get_by_role("button", name="Authorize", exact=True).first.click()
        await page.get_by_label("auth-bearer-value").fill("bs_00000000_" + "x" * 43)
        await page.screenshot(path=tmp_path / "54-key.png")
        await page.get_by_role("button", name="Apply credentials").first.click()
        await page.get_by_role("button", name="Close").first.click()
        await _open_tag(page, "Attributes")
        assert await _try(page, "listAttributes", tmp_path) == "401"
        assert [one for one in tab.complaints if "401" not in one] == []


async def _open_tag(page: Page, name: str) -> None:
    await page.locator(f'.opblock-tag[data-tag="{name}"]').click()


async def _try(page: Page, operation_id: str, folder: Path) -> str:
    """Calls the operation with its example; the status that it shows."""
    block = page.locator(f'[id$="-{operation_id}"]')
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    status = block.locator(".live-responses-table .response-col_status").last
    await expect(status).to_contain_text("")
    await page.screenshot(path=folder / f"52-{operation_id}.png", full_page=True)
    return (await status.inner_text()).split()[0]
