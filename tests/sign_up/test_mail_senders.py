"""Who a mail comes from: every kind of mail that a reader gets is its newsletter's, an account's the installation's."""

from typing import Any, Final, get_args

import pytest

from broadsheet_common.contracts.queue import AccountMailKind, ReaderMailKind
from harness.delivering import MAIL_FROM
from harness.oracle import Captured
from harness.system import LINK, System

READER: Final = "ada@reader.example"
MOVED: Final = "ada@elsewhere.example"
TEST_READER: Final = "grace@reader.example"
OWN: Final = {
    "from_name": "Garden Letter",
    "from_email": "letter@garden.example",
    "reply_to": "editor@garden.example",
    "accent_colour": "#0b6e4f",
    "logo_url": "https://garden.example/logo.png",
    "logo_alt": "The garden",
}
FROM: Final = "Garden Letter <letter@garden.example>"


async def _newsletter(system: System, **fields: Any) -> int:
    given = {
        "slug": "garden",
        "name": "Garden Letter",
        "postal_address": "1 Hedge Row",
        "message_stream": "broadcast",
        **fields,
    }
    made = await system.api.post("/api/v1/newsletters", json=given)
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


async def _mails(system: System, to: str) -> list[Captured]:
    await system.deliver_all_pending()
    return [message for message in system.oracle.messages() if message.to == to]


async def _link(system: System, to: str, path: str) -> str:
    """The path of the newest link that such an address was sent."""
    links = [link for mail in await _mails(system, to) for link in LINK.findall(mail.text) if path in link]
    return "/" + str(links[-1]).split("/", 3)[3]


async def _confirm(system: System, email: str) -> None:
    assert (await system.subscribe(email, path="/newsletters/garden")).status_code == 200
    token = (await _link(system, email, "subscription_token=")).partition("subscription_token=")[2]
    answer = await system.visitor.post("/subscriptions/confirm", data={"subscription_token": token})
    assert answer.status_code == 200


async def _send_every_kind(system: System, newsletter_id: int) -> None:
    """What a reader can be sent: asked to confirm, told that they get it already, welcomed, a test, a link to their
    page, a question and two notices about a change of address, and an issue.
    """
    newsletter = f"/api/v1/newsletters/{newsletter_id}"
    saved = await system.api.patch(
        newsletter,
        json={"welcome_mail": {"enabled": True, "subject": "Welcome", "content": "Hello."}},
        headers={"If-Match": (await system.api.get(newsletter)).headers["etag"]},
    )
    assert saved.status_code == 200, saved.text
    await _confirm(system, READER)
    await _confirm(system, TEST_READER)
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 day'")
    assert (await system.subscribe(READER, path="/newsletters/garden")).status_code == 200
    made = await system.api.post(
        "/api/v1/issues",
        json={"newsletter_id": newsletter_id, "title": "Hedges", "content": "Cut them.", "format": "markdown"},
    )
    assert made.status_code == 201, made.text
    issue = f"/api/v1/issues/{made.json()['id']}"
    assert (await system.api.post(f"{issue}/test", json={"to": [TEST_READER]})).status_code == 202
    assert (await system.api.post(f"{newsletter}/welcome-mail/test", json={"to": [TEST_READER]})).status_code == 202
    published = await system.api.post(f"{issue}/publish", headers={"Idempotency-Key": "publish"})
    assert published.status_code == 202, published.text
    unsubscribe = await _link(system, READER, "/unsubscribe/")
    assert (await system.visitor.post(f"{unsubscribe}/preferences-link")).status_code == 200
    page = await _link(system, READER, "/preferences/")
    assert (await system.visitor.post(f"{page}/address", data={"email": MOVED})).status_code == 303
    change = await _link(system, MOVED, "/change-of-address/")
    assert (await system.visitor.post(change)).status_code == 200


async def test_every_mail_to_a_reader_comes_from_the_newsletters_own_sender(system: System) -> None:
    await _send_every_kind(system, await _newsletter(system, **OWN))
    mails = [mail for to in (READER, TEST_READER, MOVED) for mail in await _mails(system, to)]
    kinds = {row[0] for row in system.seed.execute("SELECT kind FROM delivery.single_mail")}
    assert kinds == {*get_args(ReaderMailKind), "welcome"}, "a kind of mail to readers that nobody sent here"
    # Two confirmations, two welcome mails, two issues, two test mails, one link, three of an address, one "already".
    assert len(mails) == 13
    assert {(mail.from_, mail.reply_to) for mail in mails} == {(FROM, "editor@garden.example")}


async def test_every_mail_to_a_reader_shows_the_newsletters_colour_and_logo(system: System) -> None:
    await _send_every_kind(system, await _newsletter(system, **OWN))
    mails = [mail for to in (READER, TEST_READER, MOVED) for mail in await _mails(system, to)]
    for mail in mails:
        assert "#0b6e4f" in mail.html, mail.subject
        assert 'src="https://garden.example/logo.png"' in mail.html, mail.subject
        assert "Garden Letter" in mail.text, mail.subject


async def test_a_newsletter_without_a_sender_has_the_installations(system: System) -> None:
    await _send_every_kind(system, await _newsletter(system, reply_to="editor@garden.example"))
    mails = [mail for to in (READER, TEST_READER, MOVED) for mail in await _mails(system, to)]
    assert len(mails) == 13
    assert {(mail.from_, mail.reply_to) for mail in mails} == {(MAIL_FROM, "editor@garden.example")}


@pytest.mark.parametrize("kind", get_args(AccountMailKind))
async def test_a_mail_of_an_account_comes_from_the_installation(system: System, kind: str) -> None:
    system.seed.execute(
        "UPDATE publishing.newsletter SET from_email = 'own@garden.example', from_name = 'Own' WHERE is_default"
    )
    system.seed.execute(
        "SELECT delivery.enqueue_single_mail(%s, 'key', %s, 'S', '<p>H</p>', 'T', interval '1 day', %s)",
        (kind, READER, f"00-{'1' * 32}-{'2' * 16}-01"),
    )
    [mail] = await _mails(system, READER)
    system.seed.execute("UPDATE publishing.newsletter SET from_email = NULL, from_name = NULL WHERE is_default")
    assert (mail.from_, mail.reply_to) == (MAIL_FROM, None)
