"""Every page in every state, in headless Chromium under the gateway's own headers: it fits small and large screens in
both colour schemes, axe finds nothing serious, nothing shifts, and it loads little.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

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


@pytest.fixture(scope="module")
def address(pages: Pages) -> Iterator[str]:
    samples = sample_pages()
    with served(lambda path: answer_sample(pages, samples, path)) as running:
        yield running


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


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
async def test_the_page_holds_on_every_screen(name: str, address: str, chromium: Browser) -> None:
    page = await chromium.new_page(viewport=DESK, color_scheme="light", reduced_motion="reduce")  # type: ignore[arg-type] # a TypedDict
    try:
        tab = Tab(page)
        loaded: list[int] = []
        await page.add_init_script(_WATCH_SHIFTS)
        page.on("response", lambda answer: loaded.append(_size(answer.headers, answer.url)))
        await page.goto(f"{address}/sample/{name}")
        assert sum(loaded) <= ASSETS_MAX_BYTES
        assert await page.evaluate("window.shifted") == 0
        assert await tab.fits(), "wider than 1440 pixels"
        if name not in _OTHERS_MARKUP:
            await page.evaluate(Axe().axe_script)
            assert await _serious_findings(page, _ALL_RULES) == []
        await page.set_viewport_size(PHONE)  # type: ignore[arg-type] # a TypedDict
        await page.emulate_media(color_scheme="dark")
        assert await tab.fits(), "wider than 360 pixels"
        if name not in _OTHERS_MARKUP:
            assert await _serious_findings(page, _ON_A_DARK_PHONE) == []
        assert [said for said in tab.complaints if not _is_of_the_test(said)] == []
    finally:
        await page.close()


def _is_of_the_test(complaint: str) -> bool:
    """What the page's data would be asked of is not here; and the observer above may not run in the frame of a mail."""
    return complaint.startswith(("404", "console: Failed to load")) or (
        complaint.startswith("console: Blocked script execution") and "/frame?" in complaint
    )


def _size(headers: dict[str, str], url: str) -> int:
    return 0 if any(other in url for other in BYTES_OF_OTHERS) else int(headers.get("content-length", "0"))
