"""The sample data of the preview and of the tests: every page, in every state that looks different."""

from broadsheet_common.contracts.consent_wording import CURRENT_VERSION, CURRENT_WORDING
from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.admin.quick_publish.views import NewsletterFormPage
from broadsheet_gateway.pages.account_views import PasswordPage
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.preview_account_samples import account_samples
from broadsheet_gateway.pages.preview_archive_samples import archive_samples
from broadsheet_gateway.pages.preview_own_samples import own_samples
from broadsheet_gateway.pages.samples.audit import audit_samples
from broadsheet_gateway.pages.samples.email import email_samples
from broadsheet_gateway.pages.samples.home import home_samples
from broadsheet_gateway.pages.samples.imports import import_samples
from broadsheet_gateway.pages.samples.issue import issue_samples
from broadsheet_gateway.pages.samples.keys import key_samples
from broadsheet_gateway.pages.samples.layouts import layout_samples
from broadsheet_gateway.pages.samples.newsletters import newsletter_samples
from broadsheet_gateway.pages.samples.outgoing_webhooks import webhook_samples
from broadsheet_gateway.pages.samples.passkeys import passkey_samples
from broadsheet_gateway.pages.samples.people import people_samples
from broadsheet_gateway.pages.samples.provider import provider_samples
from broadsheet_gateway.pages.samples.second_factor import second_factor_samples
from broadsheet_gateway.pages.samples.segments import segment_samples
from broadsheet_gateway.pages.samples.sending import sending_samples
from broadsheet_gateway.pages.samples.subscribers import subscriber_samples
from broadsheet_gateway.pages.samples.suppressions import suppression_samples
from broadsheet_gateway.pages.samples.writing import writing_samples
from broadsheet_gateway.pages.views import (
    CheckInboxPage,
    ConfirmedPage,
    ConfirmPage,
    DocsPage,
    EmbedPage,
    ErrorPage,
    FormProof,
    HomePage,
    LoginPage,
    NewsletterLink,
    PageView,
    SignedIn,
    SubscribeForm,
    TestLinkPage,
    UnsubscribedPage,
    UnsubscribePage,
)
from broadsheet_gateway.sign_up.embed_form import embed_form
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

_NEWSLETTER = "The Systems Letter"
_ADMIN = SignedIn(username="admin", csrf_token="sample-csrf-token", permissions=GRANTABLE, everywhere=GRANTABLE)  # noqa: S106 (sample data)

_PROOF = FormProof("1771234567890.0123456789abcdef0123456789abcdef", CURRENT_VERSION, CURRENT_WORDING)


_HTML = "<h1>Queues that account for everybody</h1>\n<p>A delivery is one issue to one subscriber…</p>"


def sample_pages() -> dict[str, PageView]:
    return {**_public_samples(), **_author_samples(), **writing_samples(_ADMIN)}


def _public_samples() -> dict[str, PageView]:
    return {
        "home": HomePage(
            newsletter_name=_NEWSLETTER,
            action_path="/subscriptions",
            proof=_PROOF,
            archive_path="/newsletters/systems/issues",
        ),
        "home-others": HomePage(
            newsletter_name=_NEWSLETTER,
            action_path="/subscriptions",
            proof=_PROOF,
            others=(
                NewsletterLink("Post-mortems", "/newsletters/post-mortems"),
                NewsletterLink("A letter about very long names and what they do to a page", "/newsletters/names"),
            ),
        ),
        "home-own-words": HomePage(
            newsletter_name=_NEWSLETTER,
            action_path="/newsletters/systems",
            proof=_PROOF,
            heading="How systems fail, and what their people learned",
            text="One long read a month.\nWritten by those who were there.\n\nNo adverts, and your address stays here.",
            button="Send me the next one",
            tracking=tracking_notice(opens=True, links=True),
        ),
        "home-errors": HomePage(
            newsletter_name=_NEWSLETTER,
            action_path="/newsletters/systems",
            proof=_PROOF,
            form=SubscribeForm(name="", email="reader@"),
            errors={"name": "Enter a name.", "email": "This is not an address: the part after the @ is missing."},
        ),
        "home-unavailable": HomePage(
            newsletter_name=_NEWSLETTER,
            action_path="/subscriptions",
            proof=_PROOF,
            form=SubscribeForm(name="Reader", email="reader@example.com"),
            form_error="Sign-ups cannot be accepted at the moment. What you typed is still here: try again soon.",
        ),
        "check-inbox": CheckInboxPage(newsletter_name=_NEWSLETTER, page_path="/"),
        "embed": EmbedPage(
            newsletter_name=_NEWSLETTER,
            page_path="/newsletters/systems",
            snippet=embed_form(action="https://news.example.com/newsletters/systems"),
        ),
        "embed-origins": EmbedPage(
            newsletter_name=_NEWSLETTER,
            page_path="/newsletters/systems",
            snippet=embed_form(action="https://news.example.com/newsletters/systems"),
            origins=("https://systems.example", "https://blog.systems.example"),
        ),
        "confirm": ConfirmPage(newsletter_name=_NEWSLETTER, token="sample-token", state="pending"),  # noqa: S106
        "confirm-again": ConfirmPage(newsletter_name=_NEWSLETTER, token="sample-token", state="confirmed"),  # noqa: S106
        "confirmed": ConfirmedPage(newsletter_name=_NEWSLETTER),
        "confirmed-suppressed": ConfirmedPage(newsletter_name=_NEWSLETTER, suppressed="unsubscribe"),
        "unsubscribe": UnsubscribePage(newsletter_name=_NEWSLETTER, action_path="/unsubscribe/sample-token"),
        "unsubscribe-unnamed": UnsubscribePage(action_path="/unsubscribe/sample-token"),
        "test-link": TestLinkPage(),
        "unsubscribed": UnsubscribedPage(newsletter_name=_NEWSLETTER),
        **own_samples(_NEWSLETTER),
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
        "error-503": ErrorPage(
            status=503,
            title="A service that this needs does not answer",
            detail="Nothing was lost. Try again in a moment.",
            request_id="5f0c7d1e9a3b4c62",
            signed_in=_ADMIN,
        ),
        "docs": DocsPage(),
        "docs-signed-in": DocsPage(signed_in=_ADMIN),
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
            errors={
                "new_password": "This is easy to guess. It follows rows of keys. A few unrelated words make a good one."
            },
        ),
        "password-wrong": PasswordPage(signed_in=_ADMIN, flashes=(FlashCode.CURRENT_PASSWORD_WRONG,)),
    }
