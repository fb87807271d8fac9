"""What the pages on newsletters show."""

from typing import ClassVar

import msgspec

from broadsheet_gateway.admin.differences import Difference
from broadsheet_gateway.admin.newsletters.languages import LanguageGroup, language_groups
from broadsheet_gateway.admin.newsletters.newsletter import LABELS, Fields, Newsletter
from broadsheet_gateway.admin.newsletters.reader_texts import GROUPS, TEXT_LABELS, TextGroup
from broadsheet_gateway.admin.time_zones import TIME_ZONES
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


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

    @property
    def languages(self) -> tuple[LanguageGroup, ...]:
        return language_groups(self.fields["language"])


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
    def languages(self) -> tuple[LanguageGroup, ...]:
        """With what is saved, also while something else is chosen."""
        with_saved = language_groups(self.newsletter.language)
        chosen = self.fields["language"]
        is_there = any(tag == chosen for _, tags in with_saved for tag, _ in tags)
        return with_saved if is_there else language_groups(chosen)

    @property
    def layout_options(self) -> tuple[tuple[str, str], ...]:
        given = ((str(one.id), one.name) for one in self.layouts or ())
        return (("", "The one that ships with Broadsheet"), *given)


class NewsletterTextsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/settings/newsletters/{id}/texts`, and its form answered with faults.

    `fields`: what the form holds, by the names of `TEXT_LABELS`. `version` and `differences` as in `NewsletterPage`.
    """

    template: ClassVar[str] = "newsletters/texts.html"

    newsletter: Newsletter
    fields: Fields
    version: str
    differences: tuple[Difference, ...] = ()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        return tuple(TEXT_LABELS.items())

    @property
    def groups(self) -> tuple[TextGroup, ...]:
        return GROUPS
