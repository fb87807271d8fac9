"""The page after a deletion that can be undone."""

from typing import ClassVar

from broadsheet_gateway.pages.views import AdminPageView


class DeletedPage(AdminPageView, frozen=True, kw_only=True):
    """The answer to a form that deleted something which its room can make again as it was.

    `here`: the place in the navigation. `list_path`, `list_name`: of the page of all that there are. `stays`: what the
    deletion changes nothing about. `undo_path`, `undo_fields`: the form that makes new ones, filled in, by name.
    """

    template: ClassVar[str] = "deleted.html"

    here: str
    list_path: str
    list_name: str
    name: str
    stays: str
    undo_path: str
    undo_fields: tuple[tuple[str, str], ...]
