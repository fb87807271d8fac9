"""A line about a sent issue that is on the web."""

from datetime import datetime

import msgspec


class ArchivedLink(msgspec.Struct, frozen=True, kw_only=True):
    """`published_at` is in the newsletter's time zone."""

    title: str
    summary: str
    published_at: datetime
    page_path: str
