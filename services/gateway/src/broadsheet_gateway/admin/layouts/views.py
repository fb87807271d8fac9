"""What the pages on layouts show."""

from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.layouts.layout import Layout, SourceFault
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


class LayoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """`used_by`: names of newsletters; None: they could not be asked for."""

    id: int
    name: str
    format: str
    updated_at: datetime
    used_by: tuple[str, ...] | None = None


class LayoutsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/layouts`. `layouts` None: publishing does not answer."""

    template: ClassVar[str] = "layouts/list.html"

    layouts: tuple[LayoutRow, ...] | None = None
    next_cursor: str | None = None

    @property
    def may_write(self) -> bool:
        return "layouts:write" in self.signed_in.everywhere


class LayoutPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/layouts/new` and `/{id}`, and their forms answered with faults.

    `layout` None: a new one. `fields`: name, format, source. `faults`: of the source, at their lines. `saved_now`: what
    somebody else has saved meanwhile. `version`: the entity tag that a change is sent with; of a new layout the
    idempotency key.
    """

    template: ClassVar[str] = "layouts/edit.html"

    fields: dict[str, str]
    version: str
    layout: Layout | None = None
    faults: tuple[SourceFault, ...] = ()
    saved_now: Layout | None = None
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
