"""An owner's first ten minutes: from an empty start to the report of the first issue, in headless Chromium, against
real processes, with nothing but what the pages offer.
"""

from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, Page, expect

from broadsheet_local.system import LocalSystem
from harness.browser import DESK, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import SAVED_WITHIN_MS, log_in, newest_mail, newsletter_mails, until_saved
from harness.waiting import eventually

pytestmark = pytest.mark.browser

PEOPLE = 40
PEOPLE_FILE = "Email,Name,Town\n" + "".join(
    f"person-{number}@example.com,Person {number},{'Bergen' if number % 2 else 'Oslo'}\n" for number in range(PEOPLE)
)
FIRST = "person-1@example.com"
REPORT_WITHIN_S = 90
OPENED_OF_DELIVERED = "100.0%"  # one of forty is reported as delivered, and that one opened it


async def test_an_owners_first_ten_minutes(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    stored.execute("UPDATE publishing.newsletter SET postal_address = '' WHERE is_default")
    async with opened_tab(browser, viewport=DESK) as tab:
        await log_in(tab.page, processes)
        await tab.look(tmp_path / "01-first-steps.png")
        await _say_who_it_is_from(tab, tmp_path)
        await _bring_people(tab, tmp_path)
        await _write(tab, tmp_path)
        await _check(tab, tmp_path)
        await _test(tab, inbox, processes, tmp_path)
        await _send(tab, inbox, tmp_path)
        await _be_opened(browser, processes, tmp_path)
        await _read_the_report(tab, tmp_path)
        assert tab.complaints == []
    sends = {mail.to: mail for mail in inbox.messages() if mail.stream == "broadcast"}
    assert len(sends) == newsletter_mails(inbox) == PEOPLE
    assert "Hello Person 1," in sends[FIRST].text


async def _home(page: Page) -> None:
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Home").click()
    await expect(page.locator("h1")).to_contain_text("Welcome")


async def _say_who_it_is_from(tab: Tab, folder: Path) -> None:
    """By the first of the first steps, with a look, and with opens measured; then the step is done."""
    page = tab.page
    await page.get_by_role("region", name="First steps").get_by_role("link").first.click()
    await page.get_by_label("Name", exact=True).fill("Harbour News")
    await page.get_by_label("Description").fill("What goes on at the quays.")
    await page.get_by_label("Name of the sender").fill("Harbour News")
    await page.get_by_label("Postal address").fill("1 Quay Street, Bergen")
    await page.get_by_label("Time zone").fill("Europe/Oslo")
    await page.get_by_label("Colour").fill("#0a5c63")
    await page.get_by_label("Sent issues can be read on the web").check()
    await page.get_by_label("Postmark reports who opens a mail").check()
    await page.get_by_role("button", name="Save the settings").click()
    await expect(page.get_by_text("The settings are saved.")).to_be_visible()
    await tab.look(folder / "02-newsletter.png")
    await _home(page)
    await expect(page.get_by_role("region", name="First steps").locator(".step-done")).to_have_count(1)


async def _bring_people(tab: Tab, folder: Path) -> None:
    """By the next of the first steps: a file, checked, then imported."""
    page = tab.page
    await page.get_by_role("region", name="First steps").get_by_role("link").first.click()
    await tab.look(folder / "03-import.png")
    file = FilePayload(name="people.csv", mimeType="text/csv", buffer=PEOPLE_FILE.encode())
    await page.get_by_label("File", exact=True).set_input_files(file)
    await page.get_by_label("Why may these people be written to?").fill("They signed the list at the harbour office.")
    await page.get_by_label("count as confirmed").check()
    await page.get_by_role("button", name="Upload and check").click()
    chip = page.locator(".issue-meta .chip")
    await expect(chip).to_have_text("Checked", timeout=30_000)
    await tab.look(folder / "04-checked.png")
    await page.get_by_label("They may be written to, as stated here").check()
    await page.get_by_role("button", name="Start the import").click()
    await expect(chip).to_have_text("Done", timeout=30_000)
    await tab.look(folder / "05-imported.png")
    await _home(page)
    await expect(page.get_by_role("region", name="First steps").locator(".step-done")).to_have_count(3)


async def _write(tab: Tab, folder: Path) -> None:
    page = tab.page
    await page.get_by_role("button", name="Write an issue").first.click()
    await page.get_by_label("Title").fill("The first boats are back")
    await page.get_by_label("Content", exact=True).fill(
        "Hello {{ subscriber.name }},\n\n## On the quays\n\nThe first boats are **back**.\n\n"
        "[The list of arrivals](https://example.com/arrivals)"
    )
    await until_saved(page)
    mail = page.frame_locator("[data-preview-frame]")
    await expect(mail.get_by_role("heading", name="On the quays")).to_be_visible(timeout=SAVED_WITHIN_MS)
    await tab.look(folder / "06-editor.png")


async def _check(tab: Tab, folder: Path) -> None:
    page = tab.page
    await page.get_by_role("button", name="Checks").click()
    await expect(page.locator("h1")).to_have_text("Checks")
    await tab.look(folder / "07-checks.png")
    assert await page.locator(".finding-blocking").count() == 0


async def _test(tab: Tab, inbox: Oracle, processes: LocalSystem, folder: Path) -> None:
    """A test mail to somebody of the list, which the local set-up's inbox shows as a mail program would."""
    page = tab.page
    await page.get_by_role("link", name="Review and send").click()
    await expect(page.locator("h1")).to_have_text("Review and send")
    await page.get_by_label("To", exact=True).fill(FIRST)
    await page.get_by_role("button", name="Send a test mail").click()
    await expect(page.get_by_text("The test mail is on its way.")).to_be_visible()
    mail = await newest_mail(inbox, FIRST, "The first boats are")
    assert mail.stream == "outbound"
    shown = await page.context.new_page()
    await shown.goto(f"{processes.addresses.sandbox_url}/inbox/{mail.message_id}")
    await expect(shown.locator("h1")).to_contain_text("The first boats are back")
    await expect(shown.frame_locator("iframe").get_by_role("heading", name="On the quays")).to_be_visible()
    await shown.screenshot(path=folder / "08-test-mail.png", full_page=True)
    await shown.close()


async def _send(tab: Tab, inbox: Oracle, folder: Path) -> None:
    """Slowed down, so that there is something to watch; the page shows it without being loaded again."""
    page = tab.page
    inbox.fault({"kind": "latency", "latency_ms": 1_500, "match": {"stream": "broadcast"}})
    await tab.look(folder / "09-send.png")
    await page.get_by_role("button", name=f"Send to {PEOPLE} people").click()
    await expect(page.get_by_text("The issue is published.")).to_be_visible()
    await page.evaluate("() => { window.staysTheSamePage = true; }")
    await tab.look(folder / "10-sending.png")
    await expect(page.locator("[data-live='counts.accepted']")).to_have_text(str(PEOPLE), timeout=60_000)
    await expect(page.locator(".chip-sent")).to_be_visible(timeout=30_000)
    assert await page.evaluate("() => window.staysTheSamePage")
    inbox.heal()


async def _be_opened(browser: Browser, processes: LocalSystem, folder: Path) -> None:
    """One reader opens the mail and follows its link; the inbox tells Broadsheet so, as Postmark would."""
    async with opened_tab(browser, viewport=DESK) as reader:
        await reader.page.goto(f"{processes.addresses.sandbox_url}/?recipient={FIRST}")
        await reader.page.locator(".rows a").first.click()
        await reader.page.get_by_role("link", name="Events").click()
        for event in ("Deliver", "Open"):
            await reader.page.get_by_role("button", name=event, exact=True).click()
        await expect(reader.page.locator(".links").first).to_contain_text("Open")
        await reader.look(folder / "11-events.png")


async def _read_the_report(tab: Tab, folder: Path) -> None:
    """The one who opened the mail is in the report, and in the figures at home."""
    page = tab.page
    report = page.locator(".figures-report")

    async def has_come() -> bool:
        await page.reload()
        if await report.count() == 0:
            return False
        text = await report.inner_text()
        return "1 person" in text and OPENED_OF_DELIVERED in text

    await eventually(has_come, within_s=REPORT_WITHIN_S, what="the report holds the one who opened it")
    await tab.look(folder / "12-report.png")
    await _home(page)
    await expect(page.get_by_role("region", name="First steps")).to_have_count(0)
    latest = page.get_by_role("region", name="Last issues")
    await expect(latest).to_contain_text(OPENED_OF_DELIVERED)
    await tab.look(folder / "13-home.png")
