"""The contrast of the style sheet's colours (WCAG 2.2, 1.4.3 and 1.4.11), in the light and in the dark palette."""

import re

import pytest

from broadsheet_gateway.pages.static_files import load_static_files

_SHEETS = {
    name: file.content.decode()
    for name, file in load_static_files().items()
    if name.endswith(".css") and not name.startswith("swagger")
}
_CSS = _SHEETS["site.css"]

# Text and what it stands on: at least 4.5 to 1.
_TEXT_PAIRS = (
    ("ink", "paper"), ("ink", "sheet"), ("ink", "code-wash"), ("ink", "good-wash"), ("ink", "bad-wash"),
    ("ink", "note-wash"), ("ink-soft", "paper"), ("ink-soft", "sheet"), ("link", "paper"), ("link", "sheet"),
    ("link", "good-wash"), ("link", "info-wash"), ("accent", "paper"), ("accent", "sheet"), ("on-button", "button"),
    ("on-button", "accent"), ("on-button", "bad"), ("good", "paper"), ("good", "good-wash"), ("bad", "paper"),
    ("bad", "sheet"), ("bad", "bad-wash"), ("note", "paper"), ("note", "note-wash"),
    ("mail-ink", "mail-paper"), ("mail-link", "mail-paper"),
)  # fmt: skip
# Edges of controls, focus rings and the parts of a bar: at least 3 to 1.
_SHAPE_PAIRS = (
    ("rule-strong", "paper"), ("rule-strong", "sheet"), ("link", "paper"), ("link", "sheet"), ("ink", "sheet"),
    ("ink-soft", "sheet"), ("bad", "sheet"), ("note", "sheet"), ("button", "paper"),
)  # fmt: skip


def _palette(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def _palettes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", _CSS, re.DOTALL)
    return {"light": _palette(light), "dark": _palette(light) | _palette(dark)}


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_gives_the_known_extremes() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(mode: str) -> None:
    palette = _palettes()[mode]
    found = {pair: round(_contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in _TEXT_PAIRS}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_shapes_can_be_seen(mode: str) -> None:
    palette = _palettes()[mode]
    found = {pair: round(_contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in _SHAPE_PAIRS}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 3} == {}


def test_the_dark_palette_changes_every_colour() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", _CSS, re.DOTALL)
    assert _palette(light).keys() == _palette(dark).keys()


def test_rules_name_colours_by_variables_that_exist() -> None:
    rules = re.sub(r":root \{.*?\}", "", "".join(_SHEETS.values()), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rules) == []
    defined = set(re.findall(r"--([a-z-]+):", _CSS))
    assert set(re.findall(r"var\(--([a-z-]+)\)", "".join(_SHEETS.values()))) == defined


def test_the_style_sheets_fetch_nothing() -> None:
    assert set(_SHEETS) >= {"site.css", "admin.css"}
    for sheet in _SHEETS.values():
        assert "url(" not in sheet
        assert "@import" not in sheet
