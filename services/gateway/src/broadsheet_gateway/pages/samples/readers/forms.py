"""Sample data of the pages for readers: signing up, confirming, leaving; in several languages."""

from datetime import UTC, datetime

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.languages.language import Language
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.for_readers.faults import in_words
from broadsheet_gateway.pages.samples.readers.looks import ARABIC, FRENCH, GERMAN, OWN_WORDS, PLAIN, SPANISH, SYSTEMS
from broadsheet_gateway.pages.views import (
    CheckInboxPage,
    ConfirmedPage,
    ConfirmPage,
    EmbedPage,
    FormProof,
    HomePage,
    NewsletterLink,
    PageView,
    SubscribeForm,
    TestLinkPage,
    UnsubscribedPage,
    UnsubscribePage,
)
from broadsheet_gateway.sign_up.embed_form import embed_form
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

_ACTION = "https://news.example.com/newsletters/systems"
_TOKEN = "sample-token"  # noqa: S105 (sample data)


def _proof(language: Language) -> FormProof:
    wording = current_wording(language)
    return FormProof("1771234567890.0123456789abcdef0123456789abcdef", wording.version, wording.text)


def _issue(number: int, day: int, title: str, summary: str = "") -> ArchivedLink:
    return ArchivedLink(
        title=title,
        summary=summary,
        published_at=datetime(2026, 3, day, 9, tzinfo=UTC),
        page_path=f"/newsletters/sample/issues/{number}",
    )


_ISSUES = (
    _issue(14, 12, "Queues that account for everybody", "A delivery is one issue to one subscriber."),
    _issue(13, 5, "Back-off without a stampede"),
    _issue(12, 1, "Exactly once is a promise about records"),
)
_GERMAN_ISSUES = (
    _issue(8, 27, "Die Drehbank von 1911", "Was sie noch kann, und was niemand mehr kann."),
    _issue(7, 13, "Öl, Fett und Geduld"),
)


def reader_samples() -> dict[str, PageView]:
    return {**_forms(), **_links()}


def _forms() -> dict[str, PageView]:
    return {
        "home": HomePage(look=SYSTEMS, action_path="/subscriptions", proof=_proof("en"), issues=_ISSUES),
        "home-others": HomePage(
            look=PLAIN,
            action_path="/subscriptions",
            proof=_proof("en"),
            others=(
                NewsletterLink("Post-mortems", "/newsletters/post-mortems"),
                NewsletterLink("A letter about very long names and what they do to a page", "/newsletters/names"),
            ),
        ),
        "home-own-words": HomePage(
            look=OWN_WORDS,
            action_path="/newsletters/systems",
            proof=_proof("en"),
            heading="How systems fail, and what their people learned",
            text="One long read a month.\nWritten by those who were there.\n\nNo adverts, and your address stays here.",
            button="Send me the next one",
            tracking=tracking_notice(opens=True, links=True, language="en"),
        ),
        "home-errors": HomePage(
            look=SYSTEMS,
            action_path="/newsletters/systems",
            proof=_proof("en"),
            form=SubscribeForm(name="", email="reader@"),
            errors={"name": "A name is needed.", "email": "There must be something after the @-sign."},
        ),
        "home-unavailable": HomePage(
            look=PLAIN,
            action_path="/subscriptions",
            proof=_proof("en"),
            form=SubscribeForm(name="Reader", email="reader@example.com"),
            form_error="The service is temporarily unavailable; try again. Nothing was lost: please send the form "
            "again in a moment.",
        ),
        "home-german": HomePage(
            look=GERMAN,
            action_path="/newsletters/werkstatt",
            proof=_proof("de"),
            issues=_GERMAN_ISSUES,
            tracking=tracking_notice(opens=True, links=True, language="de"),
            form=SubscribeForm(name="", email="leserin@"),
            errors=in_words({"name": "A name is needed.", "email": "Something that no catalogue knows."}, "de"),
        ),
        "home-french": HomePage(look=FRENCH, action_path="/newsletters/marees", proof=_proof("fr")),
        "home-spanish": HomePage(
            look=SPANISH,
            action_path="/newsletters/cuaderno",
            proof=_proof("es"),
            heading="Salir al campo sin salir de casa",
        ),
        "home-arabic": HomePage(look=ARABIC, action_path="/newsletters/anzima", proof=_proof("en"), issues=_ISSUES),
        "check-inbox": CheckInboxPage(look=SYSTEMS, page_path="/"),
        "check-inbox-own-words": CheckInboxPage(look=OWN_WORDS, page_path="/"),
        "check-inbox-local": CheckInboxPage(look=GERMAN, page_path="/", inbox_url="http://127.0.0.1:8085"),
        "embed": EmbedPage(
            look=SYSTEMS, page_path="/newsletters/systems", snippet=embed_form(action=_ACTION, look=SYSTEMS)
        ),
        "embed-origins": EmbedPage(
            look=GERMAN,
            page_path="/newsletters/werkstatt",
            snippet=embed_form(action=_ACTION, look=GERMAN),
            origins=("https://systems.example", "https://blog.systems.example"),
        ),
    }


def _links() -> dict[str, PageView]:
    return {
        "confirm": ConfirmPage(look=SYSTEMS, token=_TOKEN, state="pending"),
        "confirm-again": ConfirmPage(look=SYSTEMS, token=_TOKEN, state="confirmed"),
        "confirm-own-words": ConfirmPage(look=OWN_WORDS, token=_TOKEN, state="pending"),
        "confirm-german": ConfirmPage(look=GERMAN, token=_TOKEN, state="pending"),
        "confirmed": ConfirmedPage(look=SYSTEMS),
        "confirmed-own-words": ConfirmedPage(look=OWN_WORDS),
        "confirmed-arabic": ConfirmedPage(look=ARABIC),
        "confirmed-suppressed": ConfirmedPage(look=PLAIN, suppressed="unsubscribe"),
        "confirmed-french": ConfirmedPage(look=FRENCH, suppressed="complaint"),
        "unsubscribe": UnsubscribePage(look=SYSTEMS, action_path="/unsubscribe/sample-token"),
        "unsubscribe-own-words": UnsubscribePage(look=OWN_WORDS, action_path="/unsubscribe/sample-token"),
        "unsubscribe-unnamed": UnsubscribePage(action_path="/unsubscribe/sample-token"),
        "unsubscribe-spanish": UnsubscribePage(look=SPANISH, action_path="/unsubscribe/sample-token"),
        "unsubscribe-arabic": UnsubscribePage(look=ARABIC, action_path="/unsubscribe/sample-token"),
        "test-link": TestLinkPage(),
        "unsubscribed": UnsubscribedPage(look=SYSTEMS),
        "unsubscribed-before": UnsubscribedPage(look=SYSTEMS, choices_path="/unsubscribe/sample-token/choices"),
        "unsubscribed-own-words": UnsubscribedPage(look=OWN_WORDS),
        "unsubscribed-unnamed": UnsubscribedPage(asked="fr"),
    }
