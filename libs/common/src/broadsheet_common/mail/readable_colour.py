"""A colour that somebody chose, made one in which text can be read (WCAG 2.2, 1.4.3); pure. Colours are `#rrggbb`."""

from typing import Final

CONTRAST_MIN: Final = 4.5
_LIGHT: Final = "#ffffff"
_DARK: Final = "#1b1815"
_STEPS: Final = 20


def readable(colour: str, background: str) -> str:
    """The colour, mixed with white or black until text in it can be read on the background."""
    target = (255, 255, 255) if _luminance(_rgb(background)) < 0.5 else (0, 0, 0)  # noqa: PLR2004  # the middle
    rgb = _rgb(colour)
    for step in range(_STEPS + 1):
        share = step / _STEPS
        mixed = tuple(round(own + (other - own) * share) for own, other in zip(rgb, target, strict=True))
        if contrast(mixed, _rgb(background)) >= CONTRAST_MIN:
            return "#{:02x}{:02x}{:02x}".format(*mixed)
    return "#{:02x}{:02x}{:02x}".format(*target)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """From 1 to 21, of two colours in sRGB (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def best_on(background: str) -> str:
    """White or nearly black, whichever is easier to read on it: at least 4.5 to 1."""
    return max((_LIGHT, _DARK), key=lambda colour: contrast(_rgb(colour), _rgb(background)))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _luminance(rgb: tuple[int, ...]) -> float:
    linear = [
        share / 12.92 if (share := part / 255) <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
        for part in rgb
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
