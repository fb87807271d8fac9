"""A newsletter's own words, through the gateway: on every page that a reader comes to, and in the mails about signing
up. What people agree to stays the recorded sentence.
"""

from typing import Any, Final

from broadsheet_common.contracts.consent_wording import current_wording
from harness.system import System

LETTER: Final = "/api/v1/newsletters/1"
OWN: Final = {
    "check_inbox_heading": "Nearly there",
    "check_inbox_text": "Look for our mail.\n\nIt is short.",
    "confirmation_mail_subject": "One click, please",
    "confirmation_mail_heading": "Is it you?",
    "confirmation_mail_text": "We write on Fridays.",
    "confirmation_mail_button": "Yes, it is me",
    "confirm_heading": "Shall we write to you?",
    "confirm_text": "Once a week.",
    "confirm_button": "Yes, write to me",
    "confirmed_heading": "Good to have you",
    "confirmed_text": "See you on Friday.",
    "already_subscribed_mail_subject": "You are here already",
    "already_subscribed_mail_heading": "No need to sign up",
    "already_subscribed_mail_text": "Friday it is.",
    "unsubscribe_heading": "Leaving?",
    "unsubscribe_text": "We would miss you.",
    "unsubscribed_heading": "Farewell",
    "unsubscribed_text": "We have stopped.",
    "archive_heading": "Letters",
    "promise_1_heading": "Written by people",
    "promise_1_text": "Who were there.",
    "promise_2_heading": "On Fridays",
    "promise_2_text": "And only then.",
    "promise_3_heading": "No adverts",
    "promise_3_text": "Not one.",
}
READER: Final = "ada@reader.example"


async def _give_words(system: System, **fields: Any) -> None:
    tag = (await system.api.get(LETTER)).headers["etag"]
    answer = await system.api.patch(LETTER, json={"texts": OWN, **fields}, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text


def _all_of(prefix: str, page: str) -> None:
    for name, words in OWN.items():
        if name.startswith(prefix) and not name.endswith("_subject"):
            for part in words.split("\n\n"):
                assert part in page, name


async def test_every_page_and_mail_has_the_newsletters_own_words(system: System) -> None:
    await _give_words(system, has_archive=True, postal_address="1 Quay")
    home = (await system.visitor.get("/")).text
    _all_of("promise_", home)
    assert current_wording("en").text in home
    agreed = {"name": "Ada", "email": READER, "wording": str(current_wording("en").version)}
    after = (await system.visitor.post("/subscriptions", data=agreed)).text
    _all_of("check_inbox_", after)
    assert "<strong>Yes, write to me</strong>" in after, "the step names the button of the page"
    link = await system.confirmation_link(READER)
    [mail] = [one for one in system.oracle.messages() if one.to == READER]
    assert mail.subject == OWN["confirmation_mail_subject"]
    _all_of("confirmation_mail_", mail.html)
    assert "The link works for" in mail.text
    _all_of("confirm_", (await system.visitor.get(link)).text)
    _all_of("confirmed_", (await system.confirm(link)).text)
    kept = system.seed.execute("SELECT wording_version FROM subscriptions.consent_event WHERE kind = 'requested'")
    assert kept == [(current_wording("en").version,)], "what was agreed to is the recorded sentence"
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 day'")
    await system.subscribe(READER)
    await system.deliver_all_pending()
    already = [one for one in system.oracle.messages() if one.to == READER][-1]
    assert already.subject == OWN["already_subscribed_mail_subject"]
    _all_of("already_subscribed_mail_", already.html)
    _all_of("archive_", (await system.visitor.get("/newsletters/newsletter/issues")).text)


async def test_who_leaves_reads_the_newsletters_own_words(system: System) -> None:
    await _give_words(system, postal_address="1 Quay")
    await system.subscribe(READER)
    await system.confirm(await system.confirmation_link(READER))
    issue = (
        await system.api.post("/api/v1/issues", json={"title": "One", "content": "Hi", "format": "markdown"})
    ).json()
    published = await system.api.post(f"/api/v1/issues/{issue['id']}/publish", headers={"Idempotency-Key": "one"})
    assert published.status_code == 202, published.text
    await system.deliver_all_pending()
    [mail] = system.newsletter_mails()
    leave = mail.headers["List-Unsubscribe"].strip("<>").split(">")[0]
    path = "/" + leave.split("/", 3)[3]
    before = (await system.visitor.get(path)).text
    _all_of("unsubscribe_", before)
    assert "Unsubscribe me" in before, "what the button does is said in our words"
    slug = (await system.api.get(LETTER)).json()["slug"]
    after = (await system.visitor.post(path, data={"newsletter": slug})).text
    _all_of("unsubscribed_", after)
    assert "may still arrive" in after


async def test_a_mail_about_signing_up_is_shown_before_it_is_sent(system: System) -> None:
    await _give_words(system)
    preview = f"{LETTER}/sign-up-mails/preview"
    saved = (await system.api.post(preview, json={"mail": "confirmation"})).json()
    assert saved["subject"] == OWN["confirmation_mail_subject"]
    typed = {"confirmation_mail_subject": "", "confirmation_mail_text": "Typed <only>"}
    shown = (await system.api.post(preview, json={"mail": "confirmation", "texts": typed})).json()
    assert shown["subject"].startswith("Please confirm")
    assert "Typed &lt;only&gt;" in shown["html"]
    assert "Typed <only>" in shown["text"]
    already = (await system.api.post(preview, json={"mail": "already_subscribed"})).json()
    assert already["subject"] == OWN["already_subscribed_mail_subject"]
    [link] = {word for word in shown["text"].split() if "subscription_token=" in word}
    page = await system.visitor.get("/" + link.split("/", 3)[3])
    assert page.status_code == 200
    assert "test" in page.text.lower()
    assert (
        await system.api.post("/api/v1/newsletters/99/sign-up-mails/preview", json={"mail": "confirmation"})
    ).status_code == 404
    assert system.seed.count("delivery.single_mail") == 0
