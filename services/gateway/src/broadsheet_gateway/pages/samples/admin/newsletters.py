"""Sample data of the pages on newsletters' settings."""

from datetime import UTC, datetime

import msgspec

from broadsheet_common.contracts.reader_texts import ReaderTexts
from broadsheet_gateway.admin.differences import Difference
from broadsheet_gateway.admin.newsletters.newsletter import (
    Newsletter,
    StreamCheck,
    WelcomeFault,
    WelcomeMail,
    fields_of,
)
from broadsheet_gateway.admin.newsletters.reader_texts import text_fields_of
from broadsheet_gateway.admin.newsletters.views import (
    LayoutChoice,
    NewNewsletterPage,
    NewsletterPage,
    NewslettersPage,
    NewsletterTextsPage,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_KEY = "0b9f2b9a-6f0e-4b8e-9d5b-1f6c9f1e7a11"


def newsletter_samples(signed_in: SignedIn) -> dict[str, PageView]:
    systems = Newsletter(
        id=1,
        slug="systems",
        name="The Systems Letter",
        is_default=True,
        description="How systems fail, and what their people learned.",
        from_name="The Systems Letter",
        from_email="letter@systems.example",
        postal_address="1 Harbour Street\nOld Town",
        stream_check=StreamCheck(state="ok"),
        time_zone="Europe/Paris",
        welcome_mail=WelcomeMail(
            enabled=True, subject="Welcome, {{ name }}", content="Hello {{ name }},\n\nthank you."
        ),
        texts=ReaderTexts(
            check_inbox_heading="Nearly there",
            confirmation_mail_subject="Your letter is waiting for one click",
            confirm_heading="Shall we write to you?",
            confirm_text="Once a week, on Friday.\n\nNo more than that.",
            confirm_button="Yes, write to me",
        ),
        allowed_origins=("https://blog.systems.example",),
        is_listed=True,
        layout_id=2,
    )
    harbour = Newsletter(
        id=3,
        slug="harbour-notes-and-everything-that-a-long-address-may-hold",
        name="Harbour notes, with a name that is as long as names of newsletters come to be when nobody shortens them",
        missing=("from_email", "postal_address"),
        language="tlh-Latn",
        welcome_mail=WelcomeMail(faults=(WelcomeFault(field="subject", detail="It may not be empty.", line=1),)),
    )
    strict = Newsletter(
        id=4,
        slug="strict",
        name="Strict",
        from_email="strict@systems.example",
        stream_check=StreamCheck(state="mismatch", detail="Postmark has no stream of this id."),
    )
    old = Newsletter(id=5, slug="old", name="Old news", archived_at=datetime(2026, 1, 4, 9, tzinfo=UTC))
    layouts = (LayoutChoice(2, "Two columns"), LayoutChoice(3, "Plain"))
    page = NewsletterPage(
        signed_in=signed_in,
        newsletter=systems,
        fields=fields_of(systems),
        version='"a1"',
        layouts=layouts,
        test_key=_KEY,
    )
    words = NewsletterTextsPage(signed_in=signed_in, newsletter=systems, fields=text_fields_of(systems), version='"a1"')
    reader = SignedIn(
        username="analyst",
        csrf_token="sample-csrf-token",  # noqa: S106 (sample data)
        permissions=frozenset({"newsletters:read"}),
    )
    new_fields = {
        "name": "", "slug": "", "description": "", "from_email": "", "postal_address": "", "language": "en",
        "time_zone": "UTC",
    }  # fmt: skip
    return {
        "newsletters": NewslettersPage(
            signed_in=signed_in, newsletters=(systems, harbour, strict, old), next_cursor="djE6NQ", with_archived=True
        ),
        "newsletters-read": NewslettersPage(signed_in=reader, newsletters=(systems,)),
        "newsletters-none": NewslettersPage(signed_in=signed_in, newsletters=()),
        "newsletters-unavailable": NewslettersPage(signed_in=signed_in),
        "newsletter-new": NewNewsletterPage(signed_in=signed_in, fields=new_fields, idempotency_key=_KEY),
        "newsletter-new-errors": NewNewsletterPage(
            signed_in=signed_in,
            fields=new_fields | {"name": "Systems", "slug": "Systems!", "time_zone": "Paris"},
            idempotency_key=_KEY,
            errors={
                "slug": "A slug is 1 to 63 of a-z, 0-9 and -, and does not begin with -.",
                "time_zone": "There is no such time zone. Expected is an IANA name, for example Europe/Paris.",
            },
        ),
        "newsletter-settings": msgspec.structs.replace(page, flashes=(FlashCode.NEWSLETTER_SAVED,)),
        "newsletter-settings-lacks": msgspec.structs.replace(
            page, newsletter=harbour, fields=fields_of(harbour), layouts=None
        ),
        "newsletter-settings-stream": msgspec.structs.replace(page, newsletter=strict, fields=fields_of(strict)),
        "newsletter-settings-archived": msgspec.structs.replace(page, newsletter=old, fields=fields_of(old)),
        "newsletter-settings-errors": msgspec.structs.replace(
            page,
            errors={
                "from_email": "This is not an address: the part after the @ is missing.",
                "allowed_origins": "Line 1: an origin is a scheme and a host.",
                "welcome_content": "There is no merge field `nmae`.",
                "track_opens": "It cannot be changed now.",
                "direction": "It does not fit the language.",
                "test_to": "Nobody of that address has confirmed.",
            },
        ),
        "newsletter-texts": msgspec.structs.replace(words, flashes=(FlashCode.NEWSLETTER_TEXTS_SAVED,)),
        "newsletter-texts-errors": msgspec.structs.replace(
            words,
            fields=dict(words.fields)
            | {"confirmation_mail_text": "See https://systems.example", "confirm_button": "Go"},
            errors={
                "confirmation_mail_text": "The mail that asks to confirm holds one link, its own: leave web addresses "
                "out.",
            },
        ),
        "newsletter-texts-changed": msgspec.structs.replace(
            words,
            form_error="Somebody else has changed this newsletter meanwhile.",
            differences=(
                Difference("confirm_heading", "Heading of the page that confirms", "Nearly there", "One more"),
            ),
        ),
        "newsletter-settings-changed": msgspec.structs.replace(
            page,
            form_error="Somebody else has changed this newsletter meanwhile.",
            differences=(
                Difference("name", "Name", "The Systems Letter", "The Letter on Systems"),
                Difference("postal_address", "Postal address", "1 Harbour Street\nOld Town", "2 Harbour Street"),
            ),
        ),
    }
