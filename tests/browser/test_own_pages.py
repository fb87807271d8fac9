"""From an issue's footer to being erased: a phone's width, the keyboard alone, no scripts, real processes."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import newest_link
from harness.waiting import eventually
from harness.whole_database import where_it_stands

pytestmark = pytest.mark.browser

READER, NEW = "reader-1@example.com", "reader-new@example.com"


async def test_a_person_sees_changes_takes_and_erases_what_is_kept(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    [reader] = stored.subscribers(1)
    stored.published_issue([reader])
    async with opened_tab(browser, java_script_enabled=False, viewport=PHONE) as tab:
        await tab.page.goto(await newest_link(inbox, READER, "/unsubscribe/[^/]+$"))
        await _press(tab, "a[href$='/choices']", "Your choices", tmp_path / "51-choices.png")
        await _press(
            tab, "form[action$='/preferences-link'] button", "Check your inbox", tmp_path / "52-link-mailed.png"
        )

        page = await newest_link(inbox, READER, "/preferences/")
        await tab.page.goto(page)
        await _submit(tab, "#name", "Grace", "Your name has been changed.", tmp_path / "53-name.png")
        await _submit(tab, "#email", NEW, "Check the new mailbox", tmp_path / "54-address.png")
        await tab.tab_to("form[action$='/download'] button")
        async with tab.page.expect_download() as downloading:
            await tab.page.keyboard.press("Enter")
        download = await downloading.value
        assert download.suggested_filename == "my-data.json"
        assert _person_in(await download.path()) == ("Grace", READER)

        await tab.page.goto(await newest_link(inbox, NEW, "/change-of-address/"))
        await _press(tab, "main form button", "Your address has been changed", tmp_path / "55-address-changed.png")
        assert stored.execute("SELECT email FROM subscriptions.subscriber") == [(NEW,)]

        # The old mailbox's link has ended; the one in the issue goes on, and mails a new one to the new address.
        await tab.page.goto(await newest_link(inbox, READER, "/unsubscribe/[^/]+$") + "/choices")
        await _press(tab, "form[action$='/preferences-link'] button", "Check your inbox", tmp_path / "56-again.png")
        await tab.page.goto(await newest_link(inbox, NEW, "/preferences/"))
        await _press(
            tab, "form[action$='/leave'] .button-quiet", "Your subscriptions and your data", tmp_path / "57-left.png"
        )
        await expect(tab.page.get_by_text("You have left that newsletter.")).to_be_visible()
        await _press(tab, "a[href$='/erase']", "Erase everything about you?", tmp_path / "58-erase.png")
        await _press(tab, "main form button", "Your data is erased", tmp_path / "59-erased.png")
        assert tab.complaints == []
    await eventually(
        lambda: stored.execute("SELECT 1 FROM delivery.erasure WHERE finished_at IS NULL") == [],
        within_s=30,
        what="delivery has erased the rest",
    )
    assert where_it_stands(stored, READER, NEW, "Grace") == []


def _person_in(file: Path) -> tuple[str, str]:
    [subscriber] = json.loads(file.read_text())["records"]["subscriber"]
    return subscriber["name"], subscriber["email"]


async def _press(tab: Tab, selector: str, heading: str, picture: Path) -> None:
    """Reach it with Tab and press Enter; the page that follows has this heading, and fits the screen."""
    await tab.press(selector, heading)
    await tab.look(picture)


async def _submit(tab: Tab, field: str, text: str, answer: str, picture: Path) -> None:
    await tab.type_and_submit({field: text})
    await expect(tab.page.get_by_text(answer)).to_be_visible()
    await tab.look(picture)
