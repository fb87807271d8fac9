"""What the page of exports shows."""

from typing import ClassVar

from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

FORMATS: tuple[tuple[str, str, str], ...] = (
    ("csv", "CSV", "For spreadsheets, and to be imported again."),
    ("jsonl", "JSON, one object a line", "For programs."),
)
STATES: tuple[tuple[str, str], ...] = (
    ("", "Everybody"),
    ("confirmed", "Confirmed"),
    ("pending", "Not confirmed yet"),
    ("unsubscribed", "Unsubscribed"),
)


class ExportsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/exports`, and its POST answered with faults. Fields of `errors`: newsletter, state.

    `is_recent` False: the form is not shown before a fresh proof.
    """

    template: ClassVar[str] = "exports/exports.html"
    formats: ClassVar[tuple[tuple[str, str, str], ...]] = FORMATS
    states: ClassVar[tuple[tuple[str, str], ...]] = STATES

    newsletters: tuple[NewsletterFacts, ...]
    is_recent: bool = True
    format: str = "csv"
    newsletter: str = ""
    state: str = ""
    errors: FieldErrors = NO_ERRORS
