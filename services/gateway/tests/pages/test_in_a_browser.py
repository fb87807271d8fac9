"""Every page in every state, in headless Chromium under the gateway's own headers: it fits small and large screens in
both colour schemes, axe finds nothing serious, nothing shifts, and it loads little.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Response, Route, expect

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from harness.browser import Tab, running_browser
from harness.http.served_views import answer_sample, served

pytestmark = pytest.mark.browser

PHONE: Final = {"width": 360, "height": 740}
DESK: Final = {"width": 1440, "height": 900}
ASSETS_MAX_BYTES: Final = 100_000
BYTES_OF_OTHERS: Final = ("swagger-ui",)
"""Swagger UI is 1.5 MB, and one page has it: the API reference."""
_SERIOUS: Final = {"serious", "critical"}
_ALL_RULES: Final = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
}
_ON_A_DARK_PHONE: Final = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "target-size"]},
}
"""What the width and the colours can change."""
_OTHERS_MARKUP: Final = {"docs", "docs-signed-in"}
"""Swagger UI's own markup, drawn by its script."""
_WATCH_SHIFTS: Final = """
window.shifted = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifted += entry.value; })
  .observe({type: "layout-shift", buffered: true});
"""
_IS_PAINTED: Final = """
address => location.href === address && performance.getEntriesByName("first-contentful-paint").length > 0
"""


@pytest.fixture(scope="module")
def address(pages: Pages) -> Iterator[str]:
    samples = sample_pages()
    with served(lambda path: answer_sample(pages, samples, path)) as running:
        yield running


class Screen:
    """One page that goes from sample to sample: a browser takes longer to make a page than to show one."""

    def __init__(self, page: Page) -> None:
        self.tab = Tab(page)
        self.page = page
        self.loaded_bytes = 0
        self._address = ""
        page.on("response", self._on_response)

    def _on_response(self, answer: Response) -> None:
        self.loaded_bytes += _size(answer.headers, answer.url)

    async def forget(self) -> None:
        """What the pages before have kept in the browser."""
        await self.page.evaluate("location.protocol !== 'about:' && (localStorage.clear(), sessionStorage.clear())")

    async def show(self, address: str) -> None:
        """The page at a desk, in the light, and over a slow line: its scripts come when it has been painted."""
        await self.page.set_viewport_size(DESK)  # type: ignore[arg-type] # a TypedDict
        await self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.tab.complaints.clear()
        self.loaded_bytes = 0
        self._address = address
        await self.page.goto(address)

    async def let_through(self, route: Route) -> None:
        """To be asked about each request, which also turns the browser's own store off."""
        if route.request.resource_type == "script":
            await self.page.wait_for_function(_IS_PAINTED, arg=self._address)
        await route.continue_()


@pytest.fixture(scope="module")
async def screen() -> AsyncIterator[Screen]:
    async with running_browser() as browser:
        page = await browser.new_page()
        await page.add_init_script(_WATCH_SHIFTS)
        screen = Screen(page)
        await page.route("**/*", screen.let_through)
        yield screen


_SQUEEZED: Final = """
() => [...document.querySelectorAll("main :is(th, td, p, dt, dd, li, h1, h2, h3, label)")]
  .filter((one) => one.checkVisibility() && !one.closest(".visually-hidden, [aria-hidden=true]"))
  .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
  .filter(([text, box]) => text.length >= 8 && box.width > 1 && box.width < 48 && box.height > 4 * box.width)
  .map(([text]) => text.slice(0, 60))
"""


async def _serious_findings(page: Page, options: dict[str, Any]) -> list[str]:
    """The script of axe has been loaded into the page."""
    found = await page.evaluate("options => axe.run(options)", options)
    return [
        f"{one['id']}: {node['html']}"
        for one in found["violations"]
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("name", sample_pages())
async def test_the_page_holds_on_every_screen(name: str, address: str, screen: Screen) -> None:
    page, tab = screen.page, screen.tab
    await screen.forget()
    await screen.show(f"{address}/sample/{name}")
    assert 0 < screen.loaded_bytes <= ASSETS_MAX_BYTES
    assert await page.evaluate("window.shifted") == 0
    assert await tab.fits(), "wider than 1440 pixels"
    if name not in _OTHERS_MARKUP:
        await page.evaluate(Axe().axe_script)
        assert await _serious_findings(page, _ALL_RULES) == []
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type] # a TypedDict
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert await tab.fits(), "wider than 360 pixels"
    assert await page.evaluate(_SQUEEZED) == [], "text in a column of a few letters"
    if name not in _OTHERS_MARKUP:
        assert await _serious_findings(page, _ON_A_DARK_PHONE) == []
    assert [said for said in tab.complaints if not _is_of_the_test(said)] == []


async def test_what_a_script_tells_an_author_moves_nothing_that_is_being_written(address: str, screen: Screen) -> None:
    await screen.forget()
    await screen.show(f"{address}/sample/editor-refused")
    await screen.show(f"{address}/sample/editor-others-write")
    told = screen.page.get_by_role("alert").filter(has_text="This browser kept words")
    await expect(told).to_be_in_viewport(ratio=1)
    assert await screen.page.evaluate("window.shifted") == 0
    await told.get_by_role("button", name="Discard them").click()
    await expect(told).to_be_hidden()


def _is_of_the_test(complaint: str) -> bool:
    """What the page's data would be asked of is not here; and the observer above may not run in the frame of a mail."""
    return complaint.startswith(("404", "console: Failed to load")) or (
        complaint.startswith("console: Blocked script execution") and "/frame?" in complaint
    )


def _size(headers: dict[str, str], url: str) -> int:
    return 0 if any(other in url for other in BYTES_OF_OTHERS) else int(headers.get("content-length", "0"))
