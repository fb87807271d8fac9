"""What the pages on newsletters show."""

from typing import ClassVar, Final
from zoneinfo import available_timezones

import msgspec

from broadsheet_gateway.admin.differences import Difference
from broadsheet_gateway.admin.newsletters.newsletter import LABELS, Fields, Newsletter
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

TIME_ZONES: Final = tuple(
    sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "US/", "SystemV/")))
)


class LayoutChoice(msgspec.Struct, frozen=True):
    id: int
    name: str


class NewslettersPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/newsletters`. `newsletters` None: publishing does not answer."""

    template: ClassVar[str] = "newsletters/list.html"

    newsletters: tuple[Newsletter, ...] | None = None
    next_cursor: str | None = None
    with_archived: bool = False

    @property
    def may_write(self) -> bool:
        return "newsletters:write" in self.signed_in.permissions

    @property
    def may_create(self) -> bool:
        return "newsletters:write" in self.signed_in.everywhere


class NewNewsletterPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/newsletters/new`, and its form answered with faults. `fields`: name, slug, description,
    from_email, postal_address, language, time_zone.
    """

    template: ClassVar[str] = "newsletters/new.html"

    fields: Fields
    idempotency_key: str
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return tuple(LABELS.items())

    @property
    def time_zones(self) -> tuple[str, ...]:
        return TIME_ZONES


class NewsletterPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/newsletters/{id}`, and its forms answered with faults.

    `fields`: what the form holds, by the names of `LABELS`. `layouts` None: they could not be asked for. `version`: the
    entity tag that a change is sent with. `differences`: what somebody else has saved meanwhile.
    """

    template: ClassVar[str] = "newsletters/edit.html"

    newsletter: Newsletter
    fields: Fields
    version: str
    test_key: str
    layouts: tuple[LayoutChoice, ...] | None = None
    differences: tuple[Difference, ...] = ()
    test_to: str = ""
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return (*LABELS.items(), ("test_to", "Send the welcome mail to"))

    @property
    def time_zones(self) -> tuple[str, ...]:
        return TIME_ZONES

    @property
    def layout_options(self) -> tuple[tuple[str, str], ...]:
        given = ((str(one.id), one.name) for one in self.layouts or ())
        return (("", "The one that ships with Broadsheet"), *given)
