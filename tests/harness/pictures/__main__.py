"""`./run pages [FOLDER] [NAME…]`: every page in every state as pictures, at three widths, light and dark; with names,
those whose names begin so. FOLDER is `pages` unless given; `FOLDER/index.html` shows them side by side.
"""

import argparse
import asyncio
import html
import sys
from itertools import product
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser, Page

from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.views import PageView
from harness.browser import running_browser
from harness.http.served_views import answer_sample, served

WIDTHS: Final = (360, 800, 1440)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_HEIGHT: Final = 900


def file_name(name: str, width: int, scheme: str) -> str:
    return f"{name}-{width}-{scheme}.png"


async def take_pictures(folder: Path, samples: dict[str, PageView]) -> None:
    """Raises whatever the browser raises; says each page on standard output as it is done."""
    pages = Pages()
    with served(lambda path: answer_sample(pages, samples, path)) as address:
        async with running_browser() as browser:
            for number, name in enumerate(samples, 1):
                await _take(browser, f"{address}/sample/{name}", folder, name)
                sys.stdout.write(f"{number}/{len(samples)} {name}\n")


async def _take(browser: Browser, address: str, folder: Path, name: str) -> None:
    page: Page = await browser.new_page(reduced_motion="reduce")
    try:
        await page.goto(address)
        for width, scheme in product(WIDTHS, SCHEMES):
            await page.set_viewport_size({"width": width, "height": _HEIGHT})
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=folder / file_name(name, width, scheme), full_page=True)
    finally:
        await page.close()


def _index(names: list[str]) -> str:
    figures = "\n".join(
        f"<h2>{html.escape(name)}</h2>\n<p>"
        + "".join(
            f'<a href="{file_name(name, width, scheme)}"><img loading="lazy" src="{file_name(name, width, scheme)}" '
            f'alt="{html.escape(name)}, {width} px, {scheme}" width="{width // 4}"></a> '
            for width, scheme in product(WIDTHS, SCHEMES)
        )
        + "</p>"
        for name in names
    )
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Pages</title>\n{figures}\n</html>\n'


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./run pages", description="Every page in every state as pictures, at three widths, light and dark."
    )
    parser.add_argument("folder", nargs="?", default="pages", type=Path, help="where they go (pages)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only states whose names begin so")
    found = parser.parse_args(arguments)
    folder, beginnings = found.folder, tuple(found.names)
    wanted = {name: view for name, view in sample_pages().items() if not beginnings or name.startswith(beginnings)}
    if not wanted:
        parser.error(f"no page's name begins with {' or '.join(beginnings)}")
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_pictures(folder, wanted))
    (folder / "index.html").write_text(_index(list(wanted)), encoding="utf-8")
    sys.stdout.write(f"{folder / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
