"""Derives `client_support.json` from the npm package `caniemail`: which mail programs support which CSS and HTML.

    python services/publishing/tools/derive_client_support.py [PACKAGE.tgz]

Without a file it runs `npm pack` of the version below in a temporary folder, so npm is needed only by whoever
renews the data. Facts alone are taken: names, and what was tested where; none of the package's code. A feature whose
name in a mail is not plain from its title is listed in `_NAMES`; one that is neither is left out.
"""

# ruff: noqa: INP001  # a script, in no package

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VERSION = "2.0.2"
TARGET = Path(__file__).resolve().parents[1] / "src/broadsheet_publishing/checks/clients/client_support.json"
_DATA = "package/data/caniemail.json"

_PROPERTY = re.compile(r"[a-z]+(?:-[a-z]+)*")
_NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "css-at-media-device-pixel-ratio": ("media", ("device-pixel-ratio", "-webkit-device-pixel-ratio")),
    "css-at-media-hover": ("media", ("hover", "any-hover")),
    "css-at-media-orientation": ("media", ("orientation",)),
    "css-at-media-prefers-color-scheme": ("media", ("prefers-color-scheme",)),
    "css-at-media-prefers-reduced-motion": ("media", ("prefers-reduced-motion",)),
    "css-block-inline-size": ("property", ("block-size", "inline-size")),
    "css-border-inline-block": ("property", ("border-inline", "border-block")),
    "css-color-scheme": ("property", ("color-scheme",)),
    "css-column-layout-properties": ("property", ("columns", "column-width", "column-rule", "column-span")),
    "css-display-flex": ("declaration", ("display:flex", "display:inline-flex")),
    "css-display-grid": ("declaration", ("display:grid", "display:inline-grid")),
    "css-display-none": ("declaration", ("display:none",)),
    "css-flex-direction": ("property", ("flex-direction",)),
    "css-flex-wrap": ("property", ("flex-wrap",)),
    "css-function-clamp": ("function", ("clamp",)),
    "css-function-light-dark": ("function", ("light-dark",)),
    "css-function-max": ("function", ("max",)),
    "css-function-min": ("function", ("min",)),
    "css-gap": ("property", ("gap", "column-gap", "row-gap")),
    "css-grid-template": ("property", ("grid-template", "grid-template-columns", "grid-template-rows")),
    "css-inset": ("property", ("inset",)),
    "css-left-right-top-bottom": ("property", ("left", "right", "top", "bottom")),
    "css-margin-block-start-end": ("property", ("margin-block-start", "margin-block-end")),
    "css-margin-inline-block": ("property", ("margin-inline", "margin-block")),
    "css-margin-inline-start-end": ("property", ("margin-inline-start", "margin-inline-end")),
    "css-modern-color": ("function", ("lch", "oklch", "lab", "oklab")),
    "css-padding-block-start-end": ("property", ("padding-block-start", "padding-block-end")),
    "css-padding-inline-block": ("property", ("padding-inline", "padding-block")),
    "css-padding-inline-start-end": ("property", ("padding-inline-start", "padding-inline-end")),
    "css-pseudo-class-lang": ("pseudo", ("lang",)),
    "css-unit-calc": ("function", ("calc",)),
    "css-variables": ("function", ("var",)),
    "html-address": ("element", ("address",)),
    "html-base": ("element", ("base",)),
    "html-image-maps": ("element", ("map",)),
    "html-semantics": (
        "element",
        ("article", "aside", "details", "figcaption", "figure", "footer", "header", "main", "mark", "nav", "section",
         "summary", "time"),
    ),
    "html-srcset": ("attribute", ("srcset", "sizes")),
    "html-svg": ("element", ("svg",)),
    "image-apng": ("image", ("apng",)),
    "image-avif": ("image", ("avif",)),
    "image-bmp": ("image", ("bmp",)),
    "image-hdr": ("image", ("hdr",)),
    "image-heif": ("image", ("heif", "heic")),
    "image-ico": ("image", ("ico",)),
    "image-mp4": ("image", ("mp4",)),
    "image-svg": ("image", ("svg",)),
    "image-tiff": ("image", ("tif", "tiff")),
    "image-webp": ("image", ("webp",)),
}  # fmt: skip
# What every mail has, or what says nothing to an author: its absence is no fault of the mail.
_LEFT_OUT = {
    "css-height", "css-margin", "css-padding", "css-width",
    "html-align", "html-aria-describedby", "html-aria-hidden", "html-aria-label", "html-aria-labelledby",
    "html-aria-live", "html-body", "html-dir", "html-height", "html-hidden", "html-lang", "html-role", "html-target",
    "html-valign", "html-width",
}  # fmt: skip


def fetch(version: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"caniemail@{version}"], cwd=folder, check=True, timeout=120)  # noqa: S603, S607
        return (Path(folder) / f"caniemail-{version}.tgz").read_bytes()


def read_data(package: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        member = archive.extractfile(_DATA)
        if member is None:
            raise SystemExit(f"The package holds no {_DATA}.")
        found: dict[str, Any] = json.load(member)
        return found


def derive(data: Mapping[str, Any], version: str) -> dict[str, object]:
    features = [
        {"slug": one["slug"], "title": one["title"].strip(), "kind": named[0], "names": named[1], "dropped_by": dropped}
        for one in sorted(data["data"], key=lambda one: one["slug"])
        # A feature that no program drops is never reported.
        if (named := names_of(one["slug"], one["title"])) and (dropped := list(dropped_by(one["stats"])))
    ]
    return {
        "source": f"caniemail {version} (npm), data of {data['last_update_date'][:10]}",
        "features": features,
    }


def names_of(slug: str, title: str) -> tuple[str, tuple[str, ...]] | None:
    """What to look for in a mail: a kind, and names of that kind."""
    if slug in _LEFT_OUT:
        return None
    if slug in _NAMES:
        return _NAMES[slug]
    if title.startswith("@"):
        return ("at-rule", (title[1:],)) if _PROPERTY.fullmatch(title[1:]) else None
    if title.startswith(":"):
        return "pseudo", (title.lstrip(":").removesuffix("()"),)
    if found := re.fullmatch(r"([a-z-]+)\(\)", title):
        return "function", (found[1],)
    if found := re.fullmatch(r"([a-z]+) unit", title):
        return "unit", (found[1],)
    if found := re.fullmatch(r"<(\w+)> element", title):
        return "element", (found[1],)
    if found := re.fullmatch(r"([a-z-]+) attribute", title):
        return "attribute", (found[1],)
    plain = re.sub(r" (property|shorthand)$", "", title.strip())
    return ("property", (plain,)) if slug.startswith("css-") and _PROPERTY.fullmatch(plain) else None


def dropped_by(stats: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[str]:
    """The programs, as `family.platform`, whose newest tested version has nothing of the feature."""
    for family, platforms in sorted(stats.items()):
        for platform, versions in sorted(platforms.items()):
            if versions and list(versions.values())[-1].startswith("n"):
                yield f"{family}.{platform}"


def main() -> None:
    package = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else fetch(VERSION)
    derived = derive(read_data(package), VERSION)
    features = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in derived["features"])  # type: ignore[attr-defined]
    text = f'{{"source":{json.dumps(derived["source"])},"features":[\n{features}\n]}}\n'
    TARGET.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{TARGET.name}: {len(text)} bytes\n")


if __name__ == "__main__":
    main()
