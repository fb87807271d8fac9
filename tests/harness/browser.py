"""Headless Chromium as people use it, and a record of everything it complains about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright, expect

from broadsheet_local import chromium

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 20_000
TABS_MAX = 60
# As long as an action is waited for: a busy machine is slow, and no fault of the page.
expect.set_options(timeout=TIMEOUT_MS)
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1440, "height": 900}


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A browser of its own, with a profile that holds nothing."""
    program = chromium.find()
    assert program is not None, chromium.WITHOUT
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """One page in a context of its own. `complaints`: console errors, refusals by the content policy, scripts' errors
    and answers of 400 and above.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_request_failed)

    def _on_request_failed(self, request: Request) -> None:
        # The browser itself aborts what a page was still loading when the page is left (its icon, say). A fault of the
        # server comes as another error, or as an answer's status.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} ({request.failure})")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    async def heading(self) -> str:
        return await self.page.locator("h1").inner_text()

    async def tab_to(self, selector: str) -> None:
        """Press Tab until the focus is there, and check that it is visible."""
        for _ in range(TABS_MAX):
            await self.page.keyboard.press("Tab")
            if await self.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                break
        else:
            raise AssertionError(f"no Tab leads to {selector} on {self.page.url}")
        style: dict[str, str] = await self.page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement); return {o: s.outlineStyle, b: s.boxShadow}; }"
        )
        assert style != {"o": "none", "b": "none"}, f"the focus on {selector} cannot be seen"

    async def press(self, selector: str, heading: str) -> None:
        """Reach it with Tab and press Enter; the page that follows has this heading."""
        await self.tab_to(selector)
        await self.page.keyboard.press("Enter")
        await expect(self.page.locator("h1")).to_have_text(heading)

    async def type_and_submit(self, values: dict[str, str]) -> None:
        """Reach each field with Tab, put the text in the place of what is there, and press Enter in the last."""
        for selector, value in values.items():
            await self.tab_to(selector)
            await self.page.keyboard.press("ControlOrMeta+a")
            await self.page.keyboard.type(value)
        await self.page.keyboard.press("Enter")

    async def look(self, picture: Path) -> None:
        """Take a picture of the whole page, and see that nothing sticks out of it."""
        await self.page.screenshot(path=picture, full_page=True)
        assert await self.fits(), f"{self.page.url} is wider than the screen"

    async def fits(self) -> bool:
        """Whether the page has no horizontal overflow."""
        return bool(
            await self.page.evaluate(
                "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            )
        )


@asynccontextmanager
async def opened_tab(browser: Browser, **context: Any) -> AsyncIterator[Tab]:
    """Takes what `Browser.new_context` takes: `viewport`, `java_script_enabled`, `color_scheme` …"""
    made = await browser.new_context(**context)
    try:
        yield Tab(await made.new_page())
    finally:
        await made.close()
