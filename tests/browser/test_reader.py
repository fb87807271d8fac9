"""A reader's life with one newsletter, in headless Chromium, against real processes: found, subscribed, read, left,
joined again and erased. The newsletter has its own look and words, a welcome mail and an archive.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from broadsheet_local.system import LocalSystem
from harness.browser import PHONE, Tab, opened_tab
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.steps import newest_link, newest_mail
from harness.waiting import eventually
from harness.whole_database import where_it_stands

pytestmark = pytest.mark.browser

READER = "ines@example.com"
NAME = "Harbour News"
SETTINGS = {
    "name": NAME,
    "description": "What goes on at the quays.",
    "accent_colour": "#0a5c63",
    "postal_address": "1 Quay Street, Bergen",
    "has_archive": True,
    "sign_up_text": "Every Friday, before the ferry leaves.",
    "welcome_mail": {
        "enabled": True,
        "subject": "Welcome aboard",
        "content": "Good to have you, {{ subscriber.name }}.",
    },
}
COLOUR = "rgb(10, 92, 99)"


class Author:
    """Writes and sends issues by the API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def set_up(self) -> None:
        [newsletter] = (await self._got("GET", "/newsletters")).json()["items"]
        now = await self._got("GET", f"/newsletters/{newsletter['id']}")
        headers = {"if-match": now.headers["etag"]}
        await self._got("PATCH", f"/newsletters/{newsletter['id']}", json=SETTINGS, headers=headers)

        async def is_known() -> bool:
            return NAME in (await self._client.get("/")).text

        await eventually(is_known, what="the public pages know the newsletter's name")

    async def until_on_the_page(self, title: str) -> None:
        """The public pages are kept for a while."""

        async def is_there() -> bool:
            return title in (await self._client.get("/")).text

        await eventually(is_there, within_s=60, what=f"{title} is on the newsletter's page")

    async def send(self, title: str, content: str) -> None:
        draft = {"title": title, "format": "markdown", "content": content}
        issue = (await self._got("POST", "/issues", json=draft)).json()
        await self._got("POST", f"/issues/{issue['id']}/publish", json={})

        async def is_sent() -> bool:
            return str((await self._got("GET", f"/issues/{issue['id']}")).json()["status"]) == "sent"

        await eventually(is_sent, within_s=60, what=f"{title} is sent")

    async def _got(self, method: str, path: str, **asked: object) -> httpx.Response:
        answer = await self._client.request(method, f"/api/v1{path}", **asked)  # type: ignore[arg-type]
        assert answer.is_success, answer.text
        return answer


@asynccontextmanager
async def writing_by_api(processes: LocalSystem) -> AsyncIterator[Author]:
    key = processes.credentials.api_key
    async with httpx.AsyncClient(
        base_url=processes.addresses.gateway_url, headers={"authorization": f"Bearer {key}"}, timeout=30
    ) as client:
        author = Author(client)
        await author.set_up()
        yield author


async def test_a_readers_life(
    processes: LocalSystem, browser: Browser, inbox: Oracle, stored: Seed, tmp_path: Path
) -> None:
    stored.subscribers(1, prefix="other")
    async with writing_by_api(processes) as author, opened_tab(browser, viewport=PHONE) as tab:
        await author.send("Ice in the outer harbour", "The first ice is **here**.")
        await author.until_on_the_page("Ice in the outer harbour")
        await _find_it_and_look_around(tab, processes, tmp_path)
        await _subscribe(tab, processes, inbox, tmp_path)
        assert "Good to have you, Ines." in (await newest_mail(inbox, READER, "Good to have you")).text
        await author.send("The ice has gone", "Hello {{ subscriber.name }}, the boats are out.")
        await _read_on_the_web(tab, inbox, tmp_path)
        await _change_the_name(tab, inbox, tmp_path)
        await author.send("Two new ferries", "Hello {{ subscriber.name }}, they are fast.")
        assert "Hello Ines Dahl" in (await newest_mail(inbox, READER, "they are fast")).text
        await _leave(tab, inbox, tmp_path)
        await author.send("What the reader misses", "Hello {{ subscriber.name }}.")
        await _come_back(tab, inbox, tmp_path)
        await author.send("Welcome back", "Hello {{ subscriber.name }}, here again.")
        await newest_mail(inbox, READER, "here again")
        await _be_erased(tab, inbox, stored, tmp_path)
        assert tab.complaints == []
    subjects = [mail.subject for mail in inbox.messages() if (mail.to, mail.stream) == (READER, "broadcast")]
    assert subjects.count("Two new ferries") == subjects.count("Welcome back") == 1
    assert "What the reader misses" not in subjects


async def _find_it_and_look_around(tab: Tab, processes: LocalSystem, folder: Path) -> None:
    page = tab.page
    await page.goto(processes.addresses.gateway_url)
    await expect(page.locator("body")).to_contain_text("Every Friday, before the ferry leaves.")
    await expect(page.locator("body")).to_contain_text("What goes on at the quays.")
    button = page.get_by_role("button", name="Subscribe")
    assert await button.evaluate("one => getComputedStyle(one).backgroundColor") == COLOUR
    await tab.look(folder / "01-page.png")
    await page.get_by_role("link", name="Ice in the outer harbour").click()
    await expect(page.locator("h1")).to_have_text("Ice in the outer harbour")
    await expect(page.locator("strong", has_text="here")).to_be_visible()
    await tab.look(folder / "02-archived.png")


async def _subscribe(tab: Tab, processes: LocalSystem, inbox: Oracle, folder: Path) -> None:
    """From the article to the newsletter's page, and from there by way of the local set-up's inbox."""
    page = tab.page
    await page.goto(processes.addresses.gateway_url)
    await page.get_by_label("Name").fill("Ines")
    await page.get_by_label("E-mail address").fill(READER)
    await page.get_by_role("button", name="Subscribe").click()
    await expect(page.locator("h1")).to_contain_text("inbox")
    await tab.look(folder / "03-check-inbox.png")
    await newest_mail(inbox, READER, "/subscriptions/confirm")
    await page.get_by_role("link", name="test inbox").click()
    await page.get_by_role("link", name=READER).first.click()
    await page.get_by_role("link", name="Links").click()
    await tab.look(folder / "04-mail.png")
    async with page.context.expect_page() as opening:
        await page.locator(".links a[href*='/subscriptions/confirm']").first.click()
    opened = Tab(await opening.value)
    await opened.page.get_by_role("button", name="Confirm my subscription").click()
    await expect(opened.page.locator("h1")).to_have_text("Your subscription is confirmed")
    await expect(opened.page.locator("body")).to_contain_text(NAME)
    await opened.look(folder / "05-confirmed.png")
    await opened.page.close()


async def _read_on_the_web(tab: Tab, inbox: Oracle, folder: Path) -> None:
    await tab.page.goto(await newest_link(inbox, READER, "/issues/"))
    await expect(tab.page.locator("h1")).to_have_text("The ice has gone")
    assert "Ines" not in await tab.page.content(), "the archive is everybody's"
    await tab.look(folder / "06-on-the-web.png")


async def _change_the_name(tab: Tab, inbox: Oracle, folder: Path) -> None:
    """By the link to one's choices at the foot of an issue, and a link that is mailed then."""
    page = tab.page
    await page.goto(await newest_link(inbox, READER, "/choices$"))
    await page.get_by_role("button", name="Mail me the link").click()
    await expect(page.locator("h1")).to_have_text("Check your inbox")
    await page.goto(await newest_link(inbox, READER, "/preferences/"))
    await page.get_by_role("textbox", name="Name").fill("Ines Dahl")
    await page.get_by_role("button", name="Change the name").click()
    await expect(page.get_by_text("Your name has been changed.")).to_be_visible()
    await tab.look(folder / "07-own.png")


async def _leave(tab: Tab, inbox: Oracle, folder: Path) -> None:
    await tab.page.goto(await newest_link(inbox, READER, r"/unsubscribe/[^/]+$"))
    await tab.page.get_by_role("button", name="Unsubscribe me").click()
    await expect(tab.page.locator("h1")).to_have_text("You are unsubscribed")
    await tab.look(folder / "08-left.png")


async def _come_back(tab: Tab, inbox: Oracle, folder: Path) -> None:
    """By the link for whoever left by mistake: the newsletter's page, and a new confirmation."""
    page = tab.page
    before = await newest_link(inbox, READER, "/subscriptions/confirm")
    await page.get_by_role("link", name="subscribe again").click()
    await page.get_by_label("Name").fill("Ines Dahl")
    await page.get_by_label("E-mail address").fill(READER)
    await page.get_by_role("button", name="Subscribe").click()
    await expect(page.locator("h1")).to_contain_text("inbox")

    async def has_come() -> bool:
        return await newest_link(inbox, READER, "/subscriptions/confirm") != before

    await eventually(has_come, what="a new link to confirm by")
    await page.goto(await newest_link(inbox, READER, "/subscriptions/confirm"))
    await page.get_by_role("button", name="Confirm my subscription").click()
    await expect(page.locator("h1")).to_have_text("Your subscription is confirmed")
    await tab.look(folder / "09-back.png")


async def _be_erased(tab: Tab, inbox: Oracle, stored: Seed, folder: Path) -> None:
    """By the link that was mailed before, which is good for an hour."""
    page = tab.page
    await page.goto(await newest_link(inbox, READER, "/preferences/"))
    await page.get_by_role("link", name="See what is erased, and decide").click()
    await tab.look(folder / "10-erase.png")
    await page.locator("main").get_by_role("button").click()
    await expect(page.locator("h1")).to_have_text("Your data is erased")
    await tab.look(folder / "11-erased.png")
    await eventually(
        lambda: stored.execute("SELECT 1 FROM delivery.erasure WHERE finished_at IS NULL") == [],
        what="delivery has erased the rest",
    )
    assert where_it_stands(stored, READER, "Ines") == []
