"""Who is welcomed: whoever confirms by the link and was never confirmed on that newsletter before."""

import asyncio

import pytest

from ..conftest import Subscriptions
from ..importing import Importing


@pytest.fixture
def welcoming(subscriptions: Subscriptions) -> Subscriptions:
    """The default newsletter has a welcome mail."""
    subscriptions.rows(
        "INSERT INTO publishing.welcome_mail (newsletter_id, is_enabled, subject, content, mail_subject, html_content, "
        "text_content, compiled_version) VALUES (1, true, 's', 'c', 's', 'h', 't', 1)"
    )
    return subscriptions


def queued(subscriptions: Subscriptions) -> list[tuple[str, str, int]]:
    return subscriptions.rows(
        "SELECT to_email, dedupe_key, newsletter_id FROM delivery.single_mail WHERE kind = 'welcome' ORDER BY id"
    )


def tokens(subscriptions: Subscriptions) -> list[str]:
    rows = subscriptions.rows("SELECT text_body FROM delivery.single_mail WHERE kind = 'confirmation' ORDER BY id")
    return [text.partition("subscription_token=")[2].split()[0] for (text,) in rows]


async def sign_up_and_confirm(subscriptions: Subscriptions, email: str = "ada@example.com") -> None:
    await subscriptions.sign_up(email)
    assert (await subscriptions.public("confirmations", token=tokens(subscriptions)[-1])).status_code == 200


async def test_the_first_confirmation_queues_one_mail_that_expires_in_days(welcoming: Subscriptions) -> None:
    await welcoming.sign_up()
    assert queued(welcoming) == []
    token = tokens(welcoming)[-1]
    answers = await asyncio.gather(*(welcoming.public("confirmations", token=token) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    ((subscriber_id,),) = welcoming.rows("SELECT id FROM subscriptions.subscriber")
    assert queued(welcoming) == [("ada@example.com", f"welcome:1:{subscriber_id}", 1)]
    assert welcoming.rows(
        "SELECT expires_at - now() BETWEEN interval '2 days 23 hours' AND interval '3 days', subject, html_body "
        "FROM delivery.single_mail WHERE kind = 'welcome'"
    ) == [(True, None, None)]


async def test_without_a_welcome_mail_none_is_queued(subscriptions: Subscriptions) -> None:
    await sign_up_and_confirm(subscriptions)
    assert queued(subscriptions) == []


async def test_looking_at_the_link_queues_none(welcoming: Subscriptions) -> None:
    await welcoming.sign_up()
    await welcoming.public("confirmations/lookup", token=tokens(welcoming)[-1])
    assert queued(welcoming) == []


async def test_each_newsletter_welcomes_for_itself(welcoming: Subscriptions) -> None:
    welcoming.add_newsletter("second")
    await sign_up_and_confirm(welcoming)
    await welcoming.public("subscriptions", email="ada@example.com", name="Ada", newsletter="second")
    await welcoming.public("confirmations", token=tokens(welcoming)[-1])
    assert len(queued(welcoming)) == 1


async def test_coming_back_queues_no_second_one(welcoming: Subscriptions) -> None:
    await sign_up_and_confirm(welcoming)
    # The queue keeps no mail for ever.
    welcoming.rows("DELETE FROM delivery.single_mail WHERE kind = 'welcome'")
    await welcoming.public("unsubscribes", token=welcoming.unsubscribe_token())
    assert welcoming.state() == "unsubscribed"
    welcoming.end_cool_down()
    await sign_up_and_confirm(welcoming)
    assert welcoming.state() == "confirmed"
    assert queued(welcoming) == []


async def test_an_import_welcomes_nobody_nor_who_comes_back_after_it(welcoming: Subscriptions) -> None:
    await Importing(welcoming).run("email\nada@example.com\n", state="confirmed")
    assert welcoming.state() == "confirmed"
    await welcoming.public("unsubscribes", token=welcoming.unsubscribe_token())
    await sign_up_and_confirm(welcoming)
    assert welcoming.state() == "confirmed"
    assert queued(welcoming) == []


async def test_who_confirmed_once_is_not_welcomed_after_an_import_that_was_undone(welcoming: Subscriptions) -> None:
    await sign_up_and_confirm(welcoming)
    welcoming.rows("DELETE FROM delivery.single_mail WHERE kind = 'welcome'")
    welcoming.rows("UPDATE subscriptions.subscription SET state = 'pending', confirmed_at = NULL")
    welcoming.end_cool_down()
    await sign_up_and_confirm(welcoming)
    assert queued(welcoming) == []


async def test_who_an_import_left_pending_and_confirms_by_the_link_is_welcomed(welcoming: Subscriptions) -> None:
    importing = Importing(welcoming)
    found = await importing.run("email\nada@example.com\n", state="pending")
    assert queued(welcoming) == []
    assert found["counts"]["created"] == 1
    welcoming.end_cool_down()
    await sign_up_and_confirm(welcoming)
    assert len(queued(welcoming)) == 1


async def test_an_archived_newsletter_welcomes_nobody(welcoming: Subscriptions) -> None:
    newsletter_id = welcoming.add_newsletter("second")
    welcoming.rows(
        "INSERT INTO publishing.welcome_mail (newsletter_id, is_enabled, subject, content, mail_subject, html_content, "
        "text_content, compiled_version) VALUES (%s, true, 's', 'c', 's', 'h', 't', 1)",
        newsletter_id,
    )
    await welcoming.public("subscriptions", email="ada@example.com", name="Ada", newsletter="second")
    welcoming.rows("UPDATE publishing.newsletter SET archived_at = now() WHERE id = %s", newsletter_id)
    await welcoming.public("confirmations", token=tokens(welcoming)[-1])
    assert queued(welcoming) == []
