"""The keys of the pages inside, in headless Chromium: they are listed on the page, and can be turned off."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from harness.browser import DESK, PHONE, opened_tab, running_browser
from harness.http.served_views import answer_sample, served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pages, samples = Pages(), sample_pages()
    with served(lambda path: answer_sample(pages, samples, path)) as where:
        yield f"{where}/sample/subscribers"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


async def _loaded(page: Page, address: str) -> None:
    """With the script that listens to the keys."""
    await page.goto(address, wait_until="load")


async def test_a_key_lists_the_keys_and_each_place_listed_is_reached_by_its_own(browser: Browser, address: str) -> None:
    async with opened_tab(browser, viewport=DESK) as tab:
        await _loaded(tab.page, address)
        sheet = tab.page.get_by_role("dialog", name="Keyboard shortcuts")
        await expect(sheet).to_be_hidden()
        await tab.page.keyboard.press("?")
        await expect(sheet).to_be_visible()
        listed = await sheet.locator("dt", has_text="then").all_inner_texts()
        assert len(listed) >= 4
        places = tab.page.locator("[data-shortcut]")
        keys = [await place.get_attribute("data-shortcut") for place in await places.all()]
        assert listed == [f"g then {key}" for key in keys]
        await tab.page.keyboard.press("Escape")
        await expect(sheet).to_be_hidden()
        await tab.page.keyboard.press("/")
        await expect(tab.page.get_by_role("searchbox")).to_be_focused()
        await tab.page.keyboard.press("?")
        await expect(sheet).to_be_hidden()
        assert await tab.page.get_by_role("searchbox").input_value() == "?", "a key in a field is a letter"


async def test_single_keys_can_be_turned_off_and_stay_so(browser: Browser, address: str) -> None:
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        await _loaded(page, address)
        await page.get_by_role("button", name="Keyboard shortcuts").click()
        await page.get_by_label("Single keys are shortcuts").uncheck()
        await page.get_by_role("button", name="Close").click()
        await _loaded(page, address)
        await page.keyboard.press("?")
        await page.keyboard.press("/")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
        assert await page.evaluate("document.activeElement === document.body")
        await page.get_by_role("button", name="Keyboard shortcuts").click()
        await page.get_by_label("Single keys are shortcuts").check()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()


async def test_the_list_is_offered_only_where_there_are_keys_and_scripts(browser: Browser, address: str) -> None:
    async with opened_tab(browser, viewport=DESK, java_script_enabled=False) as plain:
        await _loaded(plain.page, address)
        await expect(plain.page.get_by_role("link", name="Home")).to_be_visible()
        await expect(plain.page.get_by_role("button", name="Keyboard shortcuts")).to_have_count(0)
    async with opened_tab(browser, viewport=PHONE, has_touch=True, is_mobile=True) as phone:
        await _loaded(phone.page, address)
        await phone.page.get_by_role("button", name="Menu").tap()
        await expect(phone.page.get_by_role("link", name="Home")).to_be_visible()
        await expect(phone.page.get_by_role("button", name="Keyboard shortcuts")).to_have_count(0)
