"""A newsletter's accent colour: whatever it is, text in it and on it can be read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.mail.readable_colour import contrast
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.for_readers.accent_sheet import accent_sheet_name, find_accent_sheet
from broadsheet_gateway.pages.static_files import load_static_files

_CSS = load_static_files()["site.css"].content.decode()
_COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _palettes(css: str) -> list[dict[str, str]]:
    return [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]


_PAGE = _palettes(_CSS)


@given(_COLOURS)
def test_it_can_be_read_in_the_light_and_in_the_dark(colour: str) -> None:
    sheet = find_accent_sheet(accent_sheet_name(colour))
    assert sheet is not None
    light, dark = _palettes(sheet.content.decode())
    for made, page in ((light, _PAGE[0]), (dark, _PAGE[1])):
        assert made.keys() == {"accent", "button", "on-button"} <= page.keys()
        for ground in ("paper", "sheet"):
            assert contrast(_rgb(made["accent"]), _rgb(page[ground])) >= 4.5
            assert contrast(_rgb(made["button"]), _rgb(page[ground])) >= 3
        assert contrast(_rgb(made["on-button"]), _rgb(made["button"])) >= 4.5


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    sheet = find_accent_sheet(accent_sheet_name("#7a1f1f"))
    assert sheet is not None
    assert "--accent: #7a1f1f" in sheet.content.decode()


@pytest.mark.parametrize("colour", ["", "red", "#12345", "#1234567", "#GGGGGG", "#12345 ", "#123456;}"])
def test_what_is_no_colour_has_no_sheet(colour: str) -> None:
    assert accent_sheet_name(colour) == ""


def test_only_the_name_that_it_has_now_leads_to_a_sheet() -> None:
    pages = Pages()
    name = accent_sheet_name("#1f4d8a")
    found = pages.static_file(name)
    assert found is not None
    assert (found.media_type, pages.static_url(name)) == ("text/css; charset=utf-8", f"/static/{name}")
    assert pages.static_file(name.replace(".css", ".js")) is None
    assert pages.static_file("accent-1f4d8a.0000000000000000.css") is None
