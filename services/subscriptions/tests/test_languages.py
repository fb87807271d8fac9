"""Mails to readers are in a newsletter's language, and the record says in which words somebody agreed."""

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.languages.language import LANGUAGES

from .conftest import Subscriptions

ADA = "ada@example.com"


def add_newsletter(subscriptions: Subscriptions, slug: str, language: str) -> None:
    newsletter_id = subscriptions.add_newsletter(slug)
    subscriptions.rows("UPDATE publishing.newsletter SET language = %s WHERE id = %s", language, newsletter_id)


def subjects(subscriptions: Subscriptions, kind: str) -> list[str]:
    rows = subscriptions.rows("SELECT subject FROM delivery.single_mail WHERE kind = %s ORDER BY id", kind)
    return [str(subject) for (subject,) in rows]


async def test_mails_about_a_sign_up_are_in_its_newsletters_language(subscriptions: Subscriptions) -> None:
    add_newsletter(subscriptions, "werkstatt", "de-AT")
    add_newsletter(subscriptions, "anzima", "ar")
    for slug in ("werkstatt", "anzima"):
        answer = await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter=slug)
        assert answer.status_code == 202
    assert subjects(subscriptions, "confirmation") == [
        "Bitte bestätigen Sie Ihr Abonnement von Werkstatt",
        "Please confirm your subscription to Anzima",
    ]
    assert (await subscriptions.public("confirmations", token=subscriptions.tokens()[0])).status_code == 200
    subscriptions.end_cool_down()
    await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter="werkstatt")
    assert subjects(subscriptions, "confirmation")[-1] == "Sie haben Werkstatt bereits abonniert"


async def test_sign_ups_together_have_each_the_language_of_its_own_newsletter(subscriptions: Subscriptions) -> None:
    languages = {"de": "Bitte", "fr": "Merci", "es": "Confirme"}
    for language in languages:
        add_newsletter(subscriptions, f"in-{language}", language)
    items = [
        {"email": f"reader-{language}@example.com", "name": "Ada", "newsletter": f"in-{language}"}
        for language in languages
    ]
    answer = await subscriptions.public("subscriptions/batch", items=items)
    assert [one["status"] for one in answer.json()["items"]] == [202, 202, 202]
    sent = {to: subject.split()[0] for to, subject, _, _ in subscriptions.mails()}
    assert sent == {f"reader-{language}@example.com": word for language, word in languages.items()}


async def test_the_record_tells_the_sentence_that_was_shown_in_its_language(subscriptions: Subscriptions) -> None:
    for language in LANGUAGES:
        slug = f"record-{language}"
        add_newsletter(subscriptions, slug, language)
        subscriptions.end_cool_down()
        version = current_wording(language).version
        await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter=slug, wording_version=version)
    record = (await subscriptions.api("GET", "consents")).json()["items"]
    assert [one["wording"] for one in record] == [
        {"version": current_wording(language).version, "text": current_wording(language).text} for language in LANGUAGES
    ]


async def test_ones_own_page_and_its_mails_are_in_the_language_that_was_confirmed_last(
    subscriptions: Subscriptions,
) -> None:
    await subscriptions.subscribe_and_confirm()  # to the default newsletter, in English
    add_newsletter(subscriptions, "werkstatt", "de")
    subscriptions.end_cool_down()
    await subscriptions.public("subscriptions", email=ADA, name="Ada", newsletter="werkstatt")
    german = subscriptions.tokens()[-1]

    async def link() -> str:
        subscriptions.rows("UPDATE subscriptions.preferences_link SET created_at = created_at - interval '2 min'")
        await subscriptions.public("preferences-links", token=subscriptions.unsubscribe_token())
        return subscriptions.mails()[-1][3].partition("/preferences/")[2].split()[0]

    async def language_of(token: str) -> str:
        return str((await subscriptions.public("preferences/lookup", token=token)).json()["language"])

    assert await language_of(await link()) == "en", "a newsletter that waits for its confirmation does not count"
    assert subjects(subscriptions, "preferences_link") == ["Your subscriptions and your data"]
    await subscriptions.public("confirmations", token=german)
    token = await link()
    assert await language_of(token) == "de"
    assert subjects(subscriptions, "preferences_link")[-1] == "Ihre Abonnements und Ihre Daten"
    assert "Der Link ist 1 Stunde gültig." in subscriptions.mails()[-1][3]

    asked = await subscriptions.public("preferences/address", token=token, email="ada.new@example.com")
    assert asked.json()["language"] == "de"
    assert subjects(subscriptions, "address_change") == ["Bitte bestätigen Sie Ihre neue Adresse"]
    assert subjects(subscriptions, "address_notice") == ["Jemand möchte Ihre Adresse ändern"]
    [text] = [text for _, _, _, text in subscriptions.mails() if "/change-of-address/" in text]
    change = text.partition("/change-of-address/")[2].split()[0]
    assert (await subscriptions.public("address-changes/lookup", token=change)).json()["language"] == "de"
    assert (await subscriptions.public("address-changes", token=change)).json()["language"] == "de"
    assert subjects(subscriptions, "address_notice")[-1] == "Ihre Newsletter gehen jetzt an eine andere Adresse"
