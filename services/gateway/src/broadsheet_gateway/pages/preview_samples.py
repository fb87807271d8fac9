"""The sample data of the preview and of the tests: every page, in every state that looks different."""

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.admin.quick_publish.views import NewsletterFormPage
from broadsheet_gateway.pages.account_views import PasswordPage
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.for_readers.faults import known_words
from broadsheet_gateway.pages.samples.account.account import account_samples
from broadsheet_gateway.pages.samples.account.email import email_samples
from broadsheet_gateway.pages.samples.account.passkeys import passkey_samples
from broadsheet_gateway.pages.samples.account.people import people_samples
from broadsheet_gateway.pages.samples.account.provider import provider_samples
from broadsheet_gateway.pages.samples.account.second_factor import second_factor_samples
from broadsheet_gateway.pages.samples.admin.audit import audit_samples
from broadsheet_gateway.pages.samples.admin.home import home_samples
from broadsheet_gateway.pages.samples.admin.imports import import_samples
from broadsheet_gateway.pages.samples.admin.issue import issue_samples
from broadsheet_gateway.pages.samples.admin.keys import key_samples
from broadsheet_gateway.pages.samples.admin.layouts import layout_samples
from broadsheet_gateway.pages.samples.admin.newsletters import newsletter_samples
from broadsheet_gateway.pages.samples.admin.outgoing_webhooks import webhook_samples
from broadsheet_gateway.pages.samples.admin.segments import segment_samples
from broadsheet_gateway.pages.samples.admin.sending import sending_samples
from broadsheet_gateway.pages.samples.admin.sends import send_samples
from broadsheet_gateway.pages.samples.admin.subscribers import subscriber_samples
from broadsheet_gateway.pages.samples.admin.suppressions import suppression_samples
from broadsheet_gateway.pages.samples.admin.writing import writing_samples
from broadsheet_gateway.pages.samples.readers.archive import archive_samples
from broadsheet_gateway.pages.samples.readers.forms import reader_samples
from broadsheet_gateway.pages.samples.readers.own import own_samples
from broadsheet_gateway.pages.times import PageZones
from broadsheet_gateway.pages.views import (
    DocsPage,
    ErrorPage,
    LoginPage,
    PageView,
    SignedIn,
)

_ADMIN = SignedIn(
    username="admin",
    csrf_token="sample-csrf-token",  # noqa: S106 (sample data)
    permissions=GRANTABLE,
    everywhere=GRANTABLE,
    zones=PageZones({1: "Europe/Paris", 3: "America/Argentina/Buenos_Aires"}, "Europe/Paris"),
)


_HTML = "<h1>Queues that account for everybody</h1>\n<p>A delivery is one issue to one subscriber…</p>"


def sample_pages() -> dict[str, PageView]:
    return {**_public_samples(), **_author_samples(), **writing_samples(_ADMIN), **send_samples(_ADMIN)}


def _public_samples() -> dict[str, PageView]:
    return {
        **reader_samples(),
        **own_samples(),
        **archive_samples(),
        **account_samples(_ADMIN),
        **people_samples(_ADMIN),
        **email_samples(_ADMIN),
        **provider_samples(_ADMIN),
        **second_factor_samples(_ADMIN),
        **passkey_samples(_ADMIN),
        **subscriber_samples(_ADMIN),
        **segment_samples(_ADMIN),
        **import_samples(_ADMIN),
        **suppression_samples(_ADMIN),
        **webhook_samples(_ADMIN),
        **newsletter_samples(_ADMIN),
        **layout_samples(_ADMIN),
        **key_samples(_ADMIN),
        **audit_samples(_ADMIN),
        "error-404": ErrorPage(
            status=404,
            title="There is nothing here",
            detail="The address may be wrong, or the page has moved.",
            request_id="5f0c7d1e9a3b4c62",
        ),
        "error-german": ErrorPage(
            status=401,
            title=known_words("This link is not valid or has expired", "de"),
            detail=known_words("Subscribe again to get a new one.", "de"),
            request_id="5f0c7d1e9a3b4c62",
            asked="de",
        ),
        "error-503": ErrorPage(
            status=503,
            title="A service that this needs does not answer",
            detail="Nothing was lost. Try again in a moment.",
            request_id="5f0c7d1e9a3b4c62",
            signed_in=_ADMIN,
        ),
        "docs": DocsPage(api_url="https://news.example.com/api/v1"),
        "docs-signed-in": DocsPage(signed_in=_ADMIN, api_url="https://news.example.com/api/v1"),
    }


def _author_samples() -> dict[str, PageView]:
    return {
        "login": LoginPage(),
        "login-failed": LoginPage(flashes=(FlashCode.AUTHENTICATION_FAILED,)),
        "login-limited": LoginPage(
            username="ada", flashes=(FlashCode.TOO_MANY_ATTEMPTS,), provider_name="Example ID", passkeys_possible=True
        ),
        **home_samples(_ADMIN),
        **issue_samples(_ADMIN),
        **sending_samples(_ADMIN),
        "newsletter-form": NewsletterFormPage(
            signed_in=_ADMIN,
            flashes=(FlashCode.NEWSLETTER_ACCEPTED,),
            idempotency_key="0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11",
            audience=20014,
        ),
        "newsletter-form-errors": NewsletterFormPage(
            signed_in=_ADMIN,
            idempotency_key="0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11",
            html_content=_HTML,
            errors={
                "title": "Enter a title.",
                "text_content": "Enter the plain text.",
                "idempotency_key": "The form carries no key. Load the page again and send it from there.",
            },
        ),
        "password": PasswordPage(signed_in=_ADMIN),
        "password-weak": PasswordPage(
            signed_in=_ADMIN,
            errors={"new_password": "This is easy to guess. It is a run of neighbouring keys."},
        ),
        "password-wrong": PasswordPage(signed_in=_ADMIN, flashes=(FlashCode.CURRENT_PASSWORD_WRONG,)),
    }
