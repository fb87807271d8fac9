"""What the page of the quick way to publish shows."""

from typing import ClassVar

from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors


class NewsletterFormPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/newsletters`, and its POST answered with faults.

    Fields of `errors`: title, text_content, html_content, idempotency_key. `audience`: how many are confirmed now.
    """

    template: ClassVar[str] = "newsletter_form.html"

    idempotency_key: str
    title: str = ""
    text_content: str = ""
    html_content: str = ""
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
    audience: int | None = None
