"""The gateway's pages as views: a view model a page (`views`), and what turns one into HTML (`rendering`).

Nothing here knows about requests, sessions or services: handlers fill a view, `Pages.render` makes the text.
"""

from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.rendering import Pages
from broadsheet_gateway.pages.static_files import StaticFile

__all__ = ["FlashCode", "Pages", "StaticFile"]
