"""Sample data of the pages on layouts."""

from datetime import UTC, datetime

import msgspec

from broadsheet_gateway.admin.deleted_page import DeletedPage
from broadsheet_gateway.admin.layouts.layout import STARTER, Layout, SourceFault
from broadsheet_gateway.admin.layouts.views import LayoutPage, LayoutRow, LayoutsPage
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn


def layout_samples(signed_in: SignedIn) -> dict[str, PageView]:
    changed = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
    layout = Layout(id=2, name="Two columns", format="html", source=STARTER, updated_at=changed)
    fields = {"name": layout.name, "format": layout.format, "source": layout.source}
    page = LayoutPage(signed_in=signed_in, layout=layout, fields=fields, version='"a1"')
    rows = (
        LayoutRow(id=2, name="Two columns", format="html", updated_at=changed, used_by=("The Systems Letter",)),
        LayoutRow(
            id=3,
            name="A layout whose name is as long as names come to be when nobody shortens them at all",
            format="mjml",
            updated_at=changed,
            used_by=(),
        ),
        LayoutRow(id=4, name="Plain", format="html", updated_at=changed),
    )
    editor = SignedIn(
        username="editor",
        csrf_token="sample-csrf-token",  # noqa: S106 (sample data)
        permissions=frozenset({"layouts:read"}),
    )
    return {
        "layouts": LayoutsPage(
            signed_in=signed_in, flashes=(FlashCode.LAYOUT_DELETED,), layouts=rows, next_cursor="djE6NA"
        ),
        "layouts-read": LayoutsPage(signed_in=editor, layouts=rows[:1]),
        "layouts-none": LayoutsPage(signed_in=signed_in, layouts=()),
        "layouts-unavailable": LayoutsPage(signed_in=signed_in),
        "layout": msgspec.structs.replace(page, flashes=(FlashCode.LAYOUT_SAVED,)),
        "layout-new": LayoutPage(
            signed_in=signed_in, fields={"name": "", "format": "html", "source": STARTER}, version="sample-key"
        ),
        "layout-faults": msgspec.structs.replace(
            page,
            errors={
                "name": "A layout has this name.",
                "source": "It has 2 faults, listed at the top with their lines.",
            },
            faults=(
                SourceFault("There is no field `nmae`.", 12, "<p>Hello {{ nmae }}, this line goes on.</p>"),
                SourceFault("It needs one {{ content }}."),
            ),
        ),
        "layout-deleted": DeletedPage(
            signed_in=signed_in,
            here="layouts",
            list_path="/admin/settings/layouts",
            list_name="Layouts",
            name=layout.name,
            stays="Nothing that was sent changes, and no newsletter and no draft used it.",
            undo_path="/admin/settings/layouts",
            undo_fields=(("version", "sample-key"), *fields.items()),
        ),
        "layout-changed": msgspec.structs.replace(
            page, form_error="Somebody else has changed this layout meanwhile.", saved_now=layout
        ),
    }
