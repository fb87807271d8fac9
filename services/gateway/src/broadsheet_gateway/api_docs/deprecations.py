"""What of the API goes, and when: the document marks it, and its answers say so (RFC 9745, RFC 8594)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec
from litestar.types import Message, Scope

from broadsheet_common.http.service_app import sent_method


class Deprecation(msgspec.Struct, frozen=True):
    """`since`: deprecated from then on. `gone_after`: answered until then at least. `link`: what to use instead."""

    since: datetime
    gone_after: datetime
    link: str

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        sunset = format_datetime(self.gone_after.astimezone(UTC), usegmt=True)
        return (
            (b"deprecation", f"@{int(self.since.timestamp())}".encode()),
            (b"sunset", sunset.encode()),
            (b"link", f'<{self.link}>; rel="deprecation"; type="text/html"'.encode()),
        )


DEPRECATIONS: Final[Mapping[str, Deprecation]] = MappingProxyType({})
"""By method and template of the route table: `"GET /api/v1/things"`. Nothing is deprecated yet."""


class DeprecationHeaders:
    """A Litestar `before_send` hook."""

    def __init__(self, deprecations: Mapping[str, Deprecation] = DEPRECATIONS) -> None:
        self._deprecations = deprecations

    async def __call__(self, message: Message, scope: Scope) -> None:
        if not self._deprecations or message["type"] != "http.response.start":
            return
        method = sent_method(cast("dict[str, Any]", scope))
        template = cast("dict[str, Any]", scope).get("path_template")
        found = self._deprecations.get(f"{'GET' if method == 'HEAD' else method} {template}")
        if found is not None:
            message["headers"] = [*message["headers"], *found.headers]
