"""The contents of archived issues as they were rendered: once for each version, for all who ask."""

import asyncio
from collections import OrderedDict
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.mail.template_work import TemplateError
from broadsheet_publishing.archive import store
from broadsheet_publishing.archive.web_content import WebContent, WebPlace, render_content

_CONTENTS_MAX: Final = 256
_CHARS_MAX: Final = 32 * 1024 * 1024

_log = structlog.get_logger()


class Version(msgspec.Struct, frozen=True):
    """Everything that a rendered content depends on. `sender_version` counts changes of the newsletter's name, slug and
    postal address.
    """

    issue_id: int
    variant: int
    content_version: int
    sender_version: int


class RenderedContents:
    """At most `_CONTENTS_MAX` and `_CHARS_MAX`, the least recently used dropped first. One is rendered at a time: it
    takes a core.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Version, WebContent | None] = OrderedDict()
        self._chars = 0
        self._rendering = asyncio.Lock()

    async def get(
        self, engine: AsyncEngine, version: Version, *, title: str, place: WebPlace, shown_title: str
    ) -> WebContent | None:
        """None: it cannot be rendered for a reader of whom nothing is known. No connection is held meanwhile."""
        if version in self._kept:
            self._kept.move_to_end(version)
            return self._kept[version]
        async with self._rendering:
            if version in self._kept:
                return self._kept[version]
            async with engine.connect() as connection:
                row = await store.read_content(connection, version.issue_id, version.variant)
            try:
                content = await asyncio.to_thread(
                    render_content,
                    title=title,
                    html_content=row.html_content,
                    text_content=row.text_content,
                    place=place,
                    shown_title=shown_title,
                )
            except TemplateError as error:
                _log.warning("publishing.archive_not_rendered", issue_id=version.issue_id, error=str(error))
                content = None
            self._keep(version, content)
            return content

    def _keep(self, version: Version, content: WebContent | None) -> None:
        self._kept[version] = content
        self._chars += _size(content)
        while len(self._kept) > _CONTENTS_MAX or (self._chars > _CHARS_MAX and len(self._kept) > 1):
            _, dropped = self._kept.popitem(last=False)
            self._chars -= _size(dropped)


def _size(content: WebContent | None) -> int:
    return 0 if content is None else len(content.html)
