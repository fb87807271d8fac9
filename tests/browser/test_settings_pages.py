"""Setting things up in headless Chromium, against real processes: a newsletter with its pictures, a layout, a key."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from broadsheet_local.system import LocalSystem
from harness.browser import DESK, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import log_in, newest_link, newest_mail

pytestmark = pytest.mark.browser


async def _open_settings(page: Page, home: str) -> None:
    await page.goto(f"{home}/admin/settings/newsletters")
    await page.get_by_role("link", name="Settings of").first.click()
    await expect(page.get_by_role("button", name="Save the settings")).to_be_visible()


async def test_the_pictures_follow_what_is_typed_and_what_is_saved_is_on_the_public_page(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    del inbox, stored
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await _open_settings(page, home)
        shown = page.frame_locator("iframe[name=page-picture]")
        mail = page.frame_locator("iframe[name=mail-picture]")
        await expect(shown.get_by_role("button")).to_be_visible()
        assert "serif" in await shown.locator("h1").first.evaluate("h => getComputedStyle(h).fontFamily")
        await page.get_by_label("Heading").fill("News of <b>presses</b>")
        await expect(shown.locator("h1", has_text="News of <b>presses</b>")).to_be_visible()
        await page.get_by_label("Subject").fill("Welcome")
        await page.get_by_label("Text", exact=True).last.fill("Hello **reader**\n\nThe end")
        await expect(mail.get_by_text("The end")).to_be_visible()
        assert await mail.locator("body").evaluate("() => self.origin") == "null"
        steps = await page.evaluate("history.length")
        await page.get_by_label("Heading").fill("News of presses")
        await expect(shown.locator("h1", has_text="News of presses")).to_be_visible()
        assert await page.evaluate("history.length") == steps, "the pictures put nothing into the history"
        await page.get_by_label("Text", exact=True).last.fill("Hello **reader**")
        await page.get_by_label("Postal address").fill("1 Press Lane")
        await page.get_by_role("button", name="Save the settings").click()
        await expect(page.get_by_text("The settings are saved.")).to_be_visible()
        await expect(page.get_by_label("Heading")).to_have_value("News of presses")
        async with opened_tab(browser, java_script_enabled=False) as reader:
            await _until_heading(reader.page, home, "News of presses")
        assert tab.complaints == []


async def _until_heading(page: Page, home: str, heading: str) -> None:
    """The public page is kept for some seconds."""
    for _ in range(40):
        await page.goto(home)
        if heading in await page.content():
            return
        await page.wait_for_timeout(500)
    raise AssertionError(f"the public page does not say {heading}")


async def test_a_newsletters_own_words_reach_its_pages_and_mails(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    del stored
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await _open_settings(page, home)
        await page.get_by_role("link", name="Words for readers").click()
        await expect(page.locator("h1")).to_have_text("Words for readers")
        await page.wait_for_load_state("load")
        shown = page.frame_locator("iframe[name=words-picture]")
        await page.get_by_label("Heading of the page that confirms").fill("Shall we write to you?")
        await expect(shown.locator("h1", has_text="Shall we write to you?")).to_be_visible()
        await page.get_by_label("Text of the mail that asks to confirm").fill("Before words that were typed")
        await expect(shown.get_by_text("Before words that were typed")).to_be_visible()
        assert await shown.locator("body").evaluate("() => self.origin") == "null", "a mail has no origin"
        await page.get_by_label("Heading after confirming").focus()
        await expect(shown.locator("h1", has_text="Your subscription is confirmed")).to_be_visible()
        await page.get_by_label("Text of the mail that asks to confirm").fill("We write on Fridays.")
        await tab.look(tmp_path / "words.png")
        await page.get_by_role("button", name="Save the words").click()
        await expect(page.get_by_text("The words are saved.")).to_be_visible()
        assert tab.complaints == []
        async with opened_tab(browser, java_script_enabled=False) as reader:
            await reader.page.goto(home)
            await reader.page.get_by_label("Name").fill("Ada")
            await reader.page.get_by_label("E-mail address").fill("ada@words.example")
            await reader.page.get_by_role("button", name="Subscribe").click()
            mail = await newest_mail(inbox, "ada@words.example")
            assert "We write on Fridays." in mail.text
            link = await newest_link(inbox, "ada@words.example", "subscription_token=")
            await _until_heading(reader.page, link, "Shall we write to you?")


async def test_without_scripts_a_button_shows_what_is_typed(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    del inbox, stored
    async with opened_tab(browser, viewport={"width": 360, "height": 740}, java_script_enabled=False) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await _open_settings(page, home)
        await page.get_by_label("Heading").fill("Typed only")
        await page.get_by_role("button", name="Show the page as typed").click()
        await expect(page.frame_locator("iframe[name=page-picture]").get_by_text("Typed only")).to_be_visible()
        assert page.url.endswith("/1"), "the form itself stays where it is"
        await expect(page.get_by_label("Heading")).to_have_value("Typed only")
        assert tab.complaints == []


async def test_a_second_tab_learns_that_the_first_has_saved(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    del inbox, stored
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await _open_settings(page, home)
        second = await page.context.new_page()
        await _open_settings(second, home)
        await page.get_by_label("Description").fill("The first tab's")
        await page.get_by_role("button", name="Save the settings").click()
        await expect(page.get_by_text("The settings are saved.")).to_be_visible()
        await second.get_by_label("Description").fill("The second tab's")
        await second.get_by_role("button", name="Save the settings").click()
        await expect(second.get_by_text("Somebody else has changed this newsletter meanwhile.")).to_be_visible()
        row = second.get_by_role("row", name="Description")
        await expect(row).to_contain_text("The first tab's")
        await expect(row).to_contain_text("The second tab's")
        await second.get_by_role("button", name="Save the settings").click()
        await expect(second.get_by_text("The settings are saved.")).to_be_visible()
        await expect(second.get_by_label("Description")).to_have_value("The second tab's")


async def test_a_layout_with_a_fault_is_mended_saved_and_deleted(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    del inbox, stored
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await page.goto(f"{home}/admin/settings/layouts")
        await page.get_by_role("link", name="New layout").click()
        await page.get_by_label("Name").fill("Press")
        good = await page.get_by_role("textbox", name="Source").input_value()
        await page.get_by_role("textbox", name="Source").fill(
            good.replace("{{ content }}", "{{ content }}\n{{ nmae }}")
        )
        await page.get_by_role("button", name="Make the layout").click()
        await expect(page.get_by_role("heading", name="Faults of the source")).to_be_visible()
        await expect(page.locator("li", has_text="Line 13:")).to_contain_text("{{ nmae }}")
        await page.get_by_role("textbox", name="Source").fill(good)
        await page.get_by_role("button", name="Make the layout").click()
        await expect(page.get_by_text("The layout is saved.")).to_be_visible()
        await page.get_by_role("button", name="Delete the layout").click()
        await expect(page.locator("h1")).to_contain_text("is deleted")
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_text("The layout is saved.")).to_be_visible()
        await page.get_by_role("button", name="Delete the layout").click()
        await expect(page.locator("h1")).to_contain_text("is deleted")


async def test_a_key_is_made_used_and_revoked_and_the_audit_log_says_so(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed
) -> None:
    del inbox, stored
    async with opened_tab(browser, viewport=DESK) as tab:
        page = tab.page
        home = await log_in(tab.page, processes)
        await page.goto(f"{home}/admin/api-keys")
        await page.get_by_role("link", name="New key").click()
        await page.get_by_label("Name").fill("Journey")
        await page.get_by_label("Read", exact=True).check()
        await page.get_by_role("button", name="Make the key").click()
        secret = await page.locator(".secret code").inner_text()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {secret}"}) as client:
            assert (await client.get(f"{home}/api/v1/newsletters")).status_code == 200
            await page.get_by_role("link", name="I have copied it").click()
            assert secret not in await page.content()
            await page.get_by_label("Yes, revoke it").check()
            await page.get_by_role("button", name="Revoke the key").click()
            await expect(page.get_by_text("The key is revoked.")).to_be_visible()
            for _ in range(40):
                if (await client.get(f"{home}/api/v1/newsletters")).status_code == 401:
                    break
                await page.wait_for_timeout(500)
            assert (await client.get(f"{home}/api/v1/newsletters")).status_code == 401
        for _ in range(40):
            await page.goto(f"{home}/admin/audit?target_kind=key")
            if await page.get_by_role("cell", name=re.compile("key.revoked")).count():
                break
            await page.wait_for_timeout(500)
        await expect(page.get_by_role("cell", name=re.compile("key.created")).first).to_be_visible()
        await expect(page.get_by_role("cell", name=re.compile("key.revoked")).first).to_be_visible()
        await expect(page.get_by_text("Those of this page are right.")).to_be_visible()
        assert tab.complaints == []
