"""How much mail a stranger can cause at somebody's mailbox."""

import asyncio

import pytest

from ..conftest import Subscriptions

MAX = 10  # the setting's default


async def sign_up_for_all(subscriptions: Subscriptions, newsletters: list[int], email: str) -> None:
    for newsletter_id in newsletters:
        answer = await subscriptions.public("subscriptions", email=email, name="Ada", newsletter_id=newsletter_id)
        assert (answer.status_code, answer.json()) == (202, {})


async def test_one_mailbox_gets_a_bounded_number_of_mails_over_all_newsletters(subscriptions: Subscriptions) -> None:
    newsletters = [subscriptions.add_newsletter(f"letter-{n}") for n in range(MAX + 3)]
    await sign_up_for_all(subscriptions, newsletters, "ada@example.com")
    assert len(subscriptions.mails()) == MAX
    await subscriptions.sign_up("bob@example.com")
    assert len(subscriptions.mails()) == MAX + 1


@pytest.mark.parametrize(
    "variants",
    [
        [f"ada+{n}@example.com" for n in range(MAX + 3)],
        [f"a{'.' * (n % 2)}d{'.' * (n // 2 % 2)}a{'.' * (n // 4 % 2)}x+{n}@gmail.com" for n in range(MAX + 3)],
        [f"adax+{n}@{'gmail' if n % 2 else 'googlemail'}.com" for n in range(MAX + 3)],
    ],
    ids=["tags", "dots", "gmails-two-names"],
)
async def test_variants_of_an_address_that_end_in_one_mailbox_share_its_quota_and_are_people_apart(
    subscriptions: Subscriptions, variants: list[str]
) -> None:
    for email in variants:
        assert (await subscriptions.sign_up(email)).status_code == 202
    assert len(subscriptions.mails()) == MAX
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(len(variants),)]


async def test_the_quota_holds_under_sign_ups_at_once(subscriptions: Subscriptions) -> None:
    answers = await asyncio.gather(*(subscriptions.sign_up(f"ada+{n}@example.com") for n in range(3 * MAX)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(subscriptions.mails()) == MAX


async def test_a_new_window_opens_the_quota_again(subscriptions: Subscriptions) -> None:
    for n in range(MAX + 1):
        await subscriptions.sign_up(f"ada+{n}@example.com")
    subscriptions.rows("UPDATE subscriptions.mailbox_quota SET window_began_at = window_began_at - interval '24 hours'")
    await subscriptions.sign_up("ada+new@example.com")
    assert len(subscriptions.mails()) == MAX + 1
    assert subscriptions.rows("SELECT mails FROM subscriptions.mailbox_quota") == [(1,)]


async def test_the_quota_keeps_no_address(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up("ada.lovelace@example.com")
    ((row,),) = subscriptions.rows("SELECT mailbox_quota::text FROM subscriptions.mailbox_quota")
    assert "lovelace" not in row
    assert b"lovelace".hex() not in row


async def test_the_api_is_bound_by_the_quota_too(subscriptions: Subscriptions) -> None:
    for n in range(MAX + 2):
        answer = await subscriptions.post("", {"email": f"ada+{n}@example.com", "name": "Ada"})
        assert answer.status_code == 201
    assert len(subscriptions.mails()) == MAX
