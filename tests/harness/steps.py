"""What people do in several journeys in a browser: log in, begin an issue, take a link out of a mail."""

import re

from playwright.async_api import Page, expect

from broadsheet_local.system import LocalSystem
from harness.oracle import Captured, Oracle
from harness.system import LINK
from harness.waiting import eventually

SAVED = re.compile("^Saved ")
SAVED_WITHIN_MS = 60_000
MAIL_WITHIN_S = 30.0


async def log_in(page: Page, processes: LocalSystem) -> str:
    """As the author of the local set-up. The answer is the site's address; the page is home."""
    home = processes.addresses.gateway_url
    await page.goto(f"{home}/login")
    await page.get_by_label("User name").fill(processes.username)
    await page.get_by_label("Password").fill(processes.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("h1")).to_have_text(f"Welcome {processes.username}")
    return home


async def begin_issue(page: Page, processes: LocalSystem) -> str:
    """The address of a new draft's editor, which is shown."""
    await page.goto(f"{processes.addresses.gateway_url}/admin/issues")
    await page.get_by_role("button", name="New issue").click()
    await expect(page.get_by_label("Content", exact=True)).to_be_visible()
    return page.url


async def until_saved(page: Page) -> None:
    """The editor has saved everything by itself."""
    await expect(page.locator("[data-save-state]")).to_have_text(SAVED, timeout=SAVED_WITHIN_MS)


async def newest_mail(inbox: Oracle, to: str, holding: str = "") -> Captured:
    """The newest mail to the address with this in its text, once it is there."""

    def found() -> list[Captured]:
        return [mail for mail in inbox.messages() if mail.to == to and holding in mail.text]

    await eventually(lambda: bool(found()), within_s=MAIL_WITHIN_S, what=f"a mail to {to} with {holding!r}")
    return found()[-1]


async def newest_link(inbox: Oracle, to: str, pattern: str) -> str:
    """The first link that the pattern is found in, of the newest mail to the address that holds one."""

    def found() -> list[str]:
        mails = reversed([mail for mail in inbox.messages() if mail.to == to])
        return [link for mail in mails for link in LINK.findall(mail.text) if re.search(pattern, link)]

    await eventually(lambda: bool(found()), within_s=MAIL_WITHIN_S, what=f"a link to {pattern} for {to}")
    return found()[0]


def newsletter_mails(inbox: Oracle) -> int:
    """How many mails of issues were accepted."""
    return sum(mail.stream == "broadcast" for mail in inbox.messages())
