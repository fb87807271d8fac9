"""From a file with faults to its undoing, in headless Chromium against real processes, with scripts and without."""

import csv
import io
from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, expect

from broadsheet_local.system import LocalSystem
from harness.browser import Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import log_in

pytestmark = pytest.mark.browser

PEOPLE = (
    "E-Mail;Full name;Status;Remark\n"
    "ada@example.com;Ada Lovelace;active;met at the fair\n"
    "grace@example.com;Grace Hopper;former;\n"
    "nobody@;Nobody;active;no host\n"
    "ADA@example.com;Ada again;active;twice\n"
)
RELOADS_MAX = 60


@pytest.mark.parametrize(
    ("scripts", "width"), [(True, 1280), (False, 360)], ids=["with scripts", "on a phone without scripts"]
)
async def test_a_file_with_faults_is_mapped_checked_imported_mended_and_undone(
    processes: LocalSystem,
    browser: Browser,
    inbox: Oracle,
    stored: Seed,
    tmp_path: Path,
    scripts: bool,
    width: int,
) -> None:
    async with opened_tab(browser, java_script_enabled=scripts, viewport={"width": width, "height": 800}) as tab:
        page = tab.page
        home = await log_in(page, processes)
        await page.goto(f"{home}/admin/imports")
        await page.get_by_role("link", name="New import").click()
        await _upload(tab, tmp_path, scripts=scripts)

        await _until(tab, "Checked", scripts=scripts)
        await tab.look(tmp_path / "62-undecided.png")
        assert await _rows(tab) == {"New": "2", "Twice in the file": "1", "Rejected": "1", "Rows": "4"}
        await expect(page.get_by_label("E-Mail", exact=True)).to_have_value("email")
        await expect(page.get_by_label("Full name", exact=True)).to_have_value("name")
        await expect(page.get_by_role("cell", name="met at the fair", exact=True)).to_be_visible()
        assert await page.locator(".sheet-table tbody tr").count() == 4, "all of its rows are first ones"
        assert await page.get_by_role("button", name="Start the import").count() == 0, "one column is undecided"
        await page.get_by_role("button", name="Check again").click()
        await expect(page.get_by_role("alert")).to_contain_text("Status: Choose what this column says.")
        await page.get_by_label("Status", exact=True).select_option("ignored")
        await page.get_by_label("Remark", exact=True).select_option("tags")
        await page.get_by_role("button", name="Check again").click()

        await _until(tab, "Checked", scripts=scripts)
        assert stored.count("subscriptions.subscriber") == 0, "a check changes nobody"
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="Download the rejected row").click()
        [rejected] = csv.DictReader(io.StringIO((await (await downloading.value).path()).read_text("utf-8-sig")))
        assert (rejected["E-Mail"], rejected["import_line"]) == ("nobody@", "4")
        assert rejected["import_reason"]

        await tab.look(tmp_path / "63-checked.png")
        await _start_with_corrections(tab, scripts=scripts)
        await page.get_by_label("They may be written to, as stated here").check()
        await page.get_by_role("button", name="Start the import").click()
        await _until(tab, "Done", scripts=scripts)
        await tab.look(tmp_path / "64-done.png")
        assert stored.execute("SELECT email, tags FROM subscriptions.subscriber ORDER BY email") == [
            ("ada@example.com", ["met at the fair", "fair-2026"]),
            ("grace@example.com", ["fair-2026"]),
        ]

        first = page.url
        await _mend(tab, tmp_path, scripts=scripts)
        assert stored.execute("SELECT name, tags FROM subscriptions.subscriber WHERE email = 'nobody@example.com'") == [
            ("Some Body", ["no host", "fair-2026"])
        ]
        await page.goto(first)
        await page.get_by_label("Take this import back").check()
        await page.get_by_role("button", name="Undo the import").click()
        await _until(tab, "Undone", scripts=scripts)
        await expect(page.get_by_text("2 people removed, 0 put back as they were.")).to_be_visible()
        await tab.look(tmp_path / "65-undone.png")
        assert stored.execute("SELECT email FROM subscriptions.subscriber") == [("nobody@example.com",)]
        # The tag that was too long, the form without a decision, corrections at a start, the address without a host.
        expected = "422"
        assert [one for one in tab.complaints if expected not in one] == []


async def _upload(tab: Tab, folder: Path, *, scripts: bool) -> None:
    """Twice: the first time with a tag that is too long, which keeps everything but the file."""
    page = tab.page
    await tab.look(folder / "61-new.png")
    await page.get_by_label("Why may these people be written to?").fill("They signed at the fair.")
    await page.get_by_label("count as confirmed").check()
    await page.get_by_label("Tags for all of them").fill("x" * 300)
    file = FilePayload(name="people.csv", mimeType="text/csv", buffer=PEOPLE.encode())
    await page.get_by_label("File", exact=True).set_input_files(file)
    if scripts:
        await page.evaluate("() => { window.staysTheSamePage = true; }")
    await page.get_by_role("button", name="Upload and check").click()
    await expect(page.get_by_role("alert")).to_contain_text("Tags for all of them:")
    await expect(page.get_by_label("Why may these people be written to?")).to_have_value("They signed at the fair.")
    await expect(page.get_by_label("count as confirmed")).to_be_checked()
    if scripts:
        assert await page.evaluate("() => window.staysTheSamePage"), "the script sent it"
    await tab.look(folder / "61-refused.png")
    await page.get_by_label("Tags for all of them").fill("fair-2026")
    await page.get_by_label("File", exact=True).set_input_files(file)
    await page.get_by_role("button", name="Upload and check").click()


async def _start_with_corrections(tab: Tab, *, scripts: bool) -> None:
    """Nothing starts, and they stay; who leaves is warned, where scripts run, and may drop them."""
    page = tab.page
    await page.get_by_label("Full name, line 4").fill("Some Body")
    if scripts:
        async with page.expect_event("dialog") as asking:
            await page.get_by_role("button", name="Check again").click(no_wait_after=True)
        question = await asking.value
        assert question.type == "beforeunload"
        await question.dismiss()
    await page.get_by_label("They may be written to, as stated here").check()
    await page.get_by_role("button", name="Start the import").click()
    await expect(page.get_by_role("alert")).to_contain_text("a row that you corrected was not sent yet")
    await expect(page.get_by_label("Full name, line 4")).to_have_value("Some Body")
    if scripts:
        page.once("dialog", lambda question: question.accept())
    await page.get_by_role("link", name="drop them").click()
    await expect(page.get_by_label("Full name, line 4")).to_have_value("Nobody")


async def _mend(tab: Tab, folder: Path, *, scripts: bool) -> None:
    """Corrects the rejected row where it is listed: the first time with an address that is none."""
    page = tab.page
    await page.get_by_role("link", name="See and correct the rejected row").click()
    await page.get_by_label("Full name, line 4").fill("Some Body")
    await page.get_by_role("button", name="Check the corrected rows").click()
    await expect(page.get_by_role("alert")).to_contain_text("E-Mail, line 4:")
    await expect(page.get_by_label("Full name, line 4")).to_have_value("Some Body")
    await tab.look(folder / "64-mend-refused.png")
    await page.get_by_label("E-Mail, line 4").fill("nobody@example.com")
    await page.get_by_role("button", name="Check the corrected rows").click()
    await _until(tab, "Checked", scripts=scripts)
    assert await _rows(tab) == {"New": "1", "Rows": "1"}
    await tab.look(folder / "64-mended.png")
    await page.get_by_label("They may be written to, as stated here").check()
    await page.get_by_role("button", name="Start the import").click()
    await _until(tab, "Done", scripts=scripts)


async def _until(tab: Tab, state: str, *, scripts: bool) -> None:
    """Until the page says so: by itself where scripts run, else by its link."""
    chip = tab.page.locator(".issue-meta .chip")
    if scripts:
        await expect(chip).to_have_text(state, timeout=30_000)
        return
    for _ in range(RELOADS_MAX):
        if await chip.inner_text() == state:
            return
        await tab.page.get_by_role("link", name="Refresh the figures").click()
    raise AssertionError(f"the import is {await chip.inner_text()}")


async def _rows(tab: Tab) -> dict[str, str]:
    """The counts that are not zero, by name."""
    found: dict[str, str] = await tab.page.locator("table.counts").evaluate(
        """table => Object.fromEntries([...table.querySelectorAll("tbody tr, tfoot tr")]
            .map(row => [row.querySelector("th").textContent.trim(), row.querySelector("td").textContent.trim()])
            .filter(([, count]) => count !== "0"))"""
    )
    return found
