"""Attributes, segments and one person, in headless Chromium against real processes, with scripts and without."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from broadsheet_local.system import LocalSystem
from harness.browser import DESK, PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import log_in

pytestmark = pytest.mark.browser

READERS = 40


def _readers(stored: Seed) -> None:
    """Every second reader lives in Berlin, every fourth has the tag `vip`."""
    stored.subscribers(READERS)
    stored.execute("INSERT INTO subscriptions.attribute (name, type, label) VALUES ('city', 'text', 'Home town')")
    stored.execute("UPDATE subscriptions.subscriber SET attributes = '{\"city\": \"Berlin\"}' WHERE email ~ '[02468]@'")
    stored.execute("UPDATE subscriptions.subscriber SET tags = '{vip}' WHERE email ~ '[048]@'")


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _row(tab: Tab, title: str) -> Locator:
    return tab.page.get_by_role("group", name=title, exact=True)


def _count(tab: Tab) -> Locator:
    return tab.page.locator(".count-figure")


async def test_a_segment_is_built_with_a_count_beside_it(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    _readers(stored)
    berlin = stored.count("subscriptions.subscriber", "attributes ->> 'city' = 'Berlin'")
    both = stored.count("subscriptions.subscriber", "attributes ->> 'city' = 'Berlin' OR tags @> '{vip}'")
    async with opened_tab(browser, viewport=DESK) as tab:
        home = await log_in(tab.page, processes)
        page = tab.page
        await page.wait_for_load_state("load")  # of the script with the shortcuts too
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        await expect(page.locator("h1")).to_have_text("Subscribers")
        await page.get_by_role("navigation", name="Main").get_by_role("link", name="Segments").click()
        await page.get_by_role("link", name="New segment").click()
        await page.evaluate("() => { window.staysTheSamePage = true; }")
        await page.get_by_label("Name").fill("Berlin")
        await page.get_by_label("Condition 1 looks at").select_option(label="Home town")
        await _row(tab, "Condition 1").get_by_label("Condition 1: value").fill("berlin")
        await expect(_count(tab)).to_have_text(str(berlin))

        await page.get_by_role("button", name="Add a group").click()
        await expect(page.get_by_label("Condition 2.1 looks at")).to_be_focused()
        await page.get_by_label("Condition 2.1 looks at").select_option("tag")
        await _row(tab, "Condition 2.1").get_by_label("Condition 2.1: value").fill("vip")
        await page.get_by_label("People for whom").select_option("any")
        await expect(_count(tab)).to_have_text(str(both))
        assert await page.evaluate("() => window.staysTheSamePage"), "the rows came without loading the page anew"
        assert await _row(tab, "Condition 1").get_by_label("Condition 1: value").input_value() == "berlin"
        await page.screenshot(path=tmp_path / "61-segment.png", full_page=True)

        await page.get_by_role("button", name="Add a condition", exact=True).click()
        await expect(page.get_by_label("Condition 3 looks at")).to_be_focused()
        await page.get_by_role("button", name="Remove condition 3").click()
        await expect(page.get_by_label("Condition 3 looks at")).to_have_count(0)
        stored.execute("UPDATE subscriptions.subscriber SET tags = '{vip}'")
        await page.get_by_role("button", name="Count").click()
        await expect(_count(tab)).to_have_text(str(READERS))
        both = READERS
        await page.get_by_role("button", name="Save the segment").click()
        await expect(page.get_by_text("The segment is saved.")).to_be_visible()
        await expect(_count(tab)).to_have_text(str(both))
        assert stored.execute("SELECT filter FROM subscriptions.segment") == [
            (
                {
                    "any": [
                        {"field": "attribute", "name": "city", "op": "eq", "value": "berlin"},
                        {"any": [{"field": "tag", "op": "has", "value": "vip"}]},
                    ]
                },
            )
        ]

        await page.goto(f"{home}/admin/segments")
        await expect(page.get_by_role("row", name="Berlin")).to_contain_text(str(both))
        await page.get_by_role("link", name="Berlin").click()
        await page.get_by_role("link", name="Show the people in it").click()
        await expect(page.get_by_role("row")).to_have_count(both + 1)
        assert tab.complaints == []


async def test_a_segment_is_built_without_scripts(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    _readers(stored)
    vips = stored.count("subscriptions.subscriber", "tags @> '{vip}'")
    async with opened_tab(browser, viewport=PHONE, java_script_enabled=False) as tab:
        home = await log_in(tab.page, processes)
        page = tab.page
        await page.goto(f"{home}/admin/segments/new")
        await page.get_by_label("Name").fill("VIPs")
        await page.get_by_label("Condition 1 looks at").select_option("tag")
        await page.get_by_role("button", name="Show the choices of condition 1").click()
        # Enter redraws the form too, and saves nothing.
        await page.get_by_label("Condition 1: value").fill("vip")
        await page.get_by_label("Condition 1: value").press("Enter")
        await expect(page.get_by_label("Condition 1: value")).to_have_value("vip")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await page.get_by_role("button", name="Count").last.click()
        await expect(_count(tab)).to_have_text(str(vips))
        await page.get_by_role("button", name="Add a condition").click()
        await page.get_by_role("button", name="Save the segment").click()
        await expect(page.get_by_role("alert")).to_contain_text("Choose what to look at")
        await page.screenshot(path=tmp_path / "62-segment-errors.png", full_page=True)
        assert await tab.fits()
        await page.get_by_role("button", name="Remove condition 2").click()
        await page.get_by_role("button", name="Save the segment").click()
        await expect(page.get_by_text("The segment is saved.")).to_be_visible()
        await page.goto(f"{home}/admin/segments")
        await page.get_by_role("link", name="Count").click()
        await expect(page.get_by_role("row", name="VIPs")).to_contain_text(str(vips))
        await page.goto(f"{home}/admin/attributes")
        await page.get_by_role("link", name="Home town").click()
        await page.get_by_role("link", name="Remove the attribute").click()
        await page.get_by_label("Remove the attribute and every value of it").check()
        await page.get_by_role("button", name="Remove").click()
        await expect(page.get_by_text("The attribute is removed.")).to_be_visible()
        # A faulty form is answered with its status.
        assert all(one.startswith("422: ") or "status of 422" in one for one in tab.complaints), tab.complaints


async def test_a_person_is_added_changed_unsubscribed_exported_and_erased(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    _readers(stored)
    async with opened_tab(browser, viewport=PHONE) as tab:
        home = await log_in(tab.page, processes)
        page = tab.page
        await page.goto(f"{home}/admin/subscribers")
        await page.get_by_role("link", name="Add a subscriber").click()
        await page.get_by_label("E-mail address").fill("le.guin@example.com")
        await page.get_by_label("Name", exact=True).fill("Ursula")
        await page.get_by_label("Tags").fill("speaker\nvip")
        await page.get_by_role("button", name="Sign them up").click()
        await expect(page.get_by_text("Signed up. A mail is on its way")).to_be_visible()
        await expect(page.locator("h1")).to_have_text("Ursula")
        await expect(page.get_by_text("Asked for Newsletter, by a user or the API", exact=True)).to_be_visible()

        await page.get_by_role("link", name="Change name, tags and attributes").click()
        await page.get_by_label("Home town").fill("Portland")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("What is noted about this person is saved.")).to_be_visible()
        await expect(page.get_by_text("Portland")).to_be_visible()
        await page.screenshot(path=tmp_path / "63-person.png", full_page=True)
        assert await tab.fits()

        await page.get_by_role("link", name="Unsubscribe them").click()
        await page.get_by_label("What they leave").select_option("all")
        await page.get_by_role("button", name="Unsubscribe them").click()
        await expect(page.get_by_text("Left Newsletter")).to_be_visible()

        await page.get_by_role("link", name="Export their data").click()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="Download the file").click()
        download = await downloading.value
        assert download.suggested_filename.startswith("subscriber-")
        exported = _read(await download.path())
        assert exported["records"]["subscriber"][0]["email"] == "le.guin@example.com"

        await page.get_by_role("link", name="Back to their page").click()
        await page.get_by_role("link", name="Erase them").click()
        await page.get_by_label("Erase this person, for good").check()
        await page.get_by_role("button", name="Erase for good").click()
        await expect(page.get_by_text("Erased. Nothing is sent to them any more")).to_be_visible()
        assert stored.count("subscriptions.subscriber", "email = 'le.guin@example.com'") == 0

        await page.get_by_label("Search for").fill("reader-3")
        await page.get_by_label("Search for").press("Enter")
        await expect(page.get_by_role("link", name="reader-30@example.com")).to_be_visible()
        await expect(page.get_by_role("link", name="reader-4@example.com")).to_have_count(0)
        assert tab.complaints == []
