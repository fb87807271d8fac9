"""Write every page with sample data as static HTML: `python -m broadsheet_gateway.pages.preview DIR`.

For design work and screenshots; the application does not import it.
"""

import sys
from pathlib import Path

from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.rendering import Pages


def write_preview(folder: Path) -> list[Path]:
    """The files written. Assets go into `static/` beside them, so that the pages open straight from the disk."""
    pages = Pages(static_prefix="static/")
    static_folder = folder / "static"
    static_folder.mkdir(parents=True, exist_ok=True)
    for file in pages.static_files:
        (static_folder / file.name).write_bytes(file.content)
    written = []
    for name, view in sample_pages().items():
        path = folder / f"{name}.html"
        path.write_text(pages.render(view), encoding="utf-8")
        if view.accent_sheet and (sheet := pages.static_file(view.accent_sheet)) is not None:
            (static_folder / sheet.name).write_bytes(sheet.content)
        written.append(path)
    return written


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m broadsheet_gateway.pages.preview DIR\n")
        return 2
    for path in write_preview(Path(arguments[0])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
