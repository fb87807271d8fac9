"""The address in `List-Unsubscribe` (RFC 8058): a POST leaves, and nothing else does."""

import asyncio

import pytest

from harness.system import System

READER = "reader@example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
UNKNOWN = ["nonsense", "k1.AAAA", "k1." + "A" * 32, "~", "x" * 500, "%2e%2e", "%00"]


async def _address(system: System) -> str:
    """Of the reader's copy of an issue."""
    await system.confirmed_subscriber(READER)
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    system.visitor.cookies.clear()
    mail = system.newsletter_mails()[-1]
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return mail.headers["List-Unsubscribe"].strip("<>")


async def _state(system: System) -> str:
    [item] = (await system.api.get("/api/v1/subscribers", params={"email": READER})).json()["items"]
    return str(item["subscriptions"][0]["state"])


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart", "none"])
async def test_the_post_of_a_mailbox_provider_unsubscribes(system: System, encoding: str) -> None:
    address = await _address(system)
    match encoding:
        case "urlencoded":
            answer = await system.visitor.post(address, data=ONE_CLICK)
        case "multipart":
            files = {name: (None, value) for name, value in ONE_CLICK.items()}
            answer = await system.visitor.post(address, files=files)
            assert answer.request.headers["content-type"].startswith("multipart/form-data")
        case _:
            answer = await system.visitor.post(address)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert await _state(system) == "unsubscribed"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_at_the_address_changes_nothing(system: System, method: str) -> None:
    address = await _address(system)
    answer = await system.visitor.request(method, address)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert await _state(system) == "confirmed"


async def test_the_page_has_one_button_that_leaves(system: System) -> None:
    address = await _address(system)
    page = (await system.visitor.get(address)).text
    assert page.count("<button") == 1
    assert f'action="{address.removeprefix("http://127.0.0.1:8081")}"' in page


async def test_leaving_again_and_many_times_at_once_is_the_same_success(system: System) -> None:
    address = await _address(system)
    answers = await asyncio.gather(*(system.visitor.post(address, data=ONE_CLICK) for _ in range(10)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert await _state(system) == "unsubscribed"


@pytest.mark.parametrize("token", UNKNOWN)
async def test_a_bad_token_gets_the_same_answer_and_nobody_leaves(system: System, token: str) -> None:
    address = await _address(system)
    bad = await system.visitor.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    assert await _state(system) == "confirmed"
    good = await system.visitor.post(address, data=ONE_CLICK)
    assert (bad.status_code, bad.content) == (good.status_code, good.content)


async def test_a_token_with_one_letter_changed_unsubscribes_nobody(system: System) -> None:
    address = await _address(system)
    for position in (len(address) - 1, len(address) - 10, len(address) - 30):
        changed = "A" if address[position] != "A" else "B"
        await system.visitor.post(address[:position] + changed + address[position + 1 :], data=ONE_CLICK)
    assert await _state(system) == "confirmed"


async def test_another_site_may_post_it_since_the_token_alone_counts(system: System) -> None:
    address = await _address(system)
    answer = await system.visitor.post(
        address, data=ONE_CLICK, headers={"sec-fetch-site": "cross-site", "origin": "https://mail.example"}
    )
    assert answer.status_code == 200
    assert await _state(system) == "unsubscribed"


async def test_the_next_issue_is_not_sent_to_who_left(system: System) -> None:
    address = await _address(system)
    await system.confirmed_subscriber("other@example.com")
    await system.visitor.post(address, data=ONE_CLICK)
    await system.log_in()
    await system.publish_by_form(title="Next")
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails() if mail.subject == "Next"] == ["other@example.com"]


async def test_who_leaves_while_an_issue_waits_does_not_get_it(system: System) -> None:
    address = await _address(system)
    await system.log_in()
    await system.publish_by_form(title="Waiting")
    await system.fan_outs_finished()
    await system.visitor.post(address, data=ONE_CLICK)
    await system.deliver_all_pending()
    assert [mail.subject for mail in system.newsletter_mails()] == ["The first issue"]
    waiting = (await system.api.get("/api/v1/issues")).json()["items"][0]
    assert (waiting["status"], waiting["counts"]["excluded"]) == ("sent", 1)


async def test_a_new_sign_up_after_leaving_needs_a_new_confirmation(system: System) -> None:
    address = await _address(system)
    await system.visitor.post(address, data=ONE_CLICK)
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 hour'")
    assert (await system.subscribe(READER)).status_code == 200
    assert await _state(system) == "pending"
    await system.confirm(await system.confirmation_link(READER))
    assert await _state(system) == "confirmed"


async def test_the_address_of_an_old_issue_still_works_after_a_new_sign_up(system: System) -> None:
    address = await _address(system)
    await system.visitor.post(address, data=ONE_CLICK)
    system.seed.execute("UPDATE subscriptions.subscription SET confirmation_queued_at = now() - interval '1 hour'")
    await system.confirmed_subscriber(READER)
    assert (await system.visitor.post(address, data=ONE_CLICK)).status_code == 200
    assert await _state(system) == "unsubscribed"


async def test_a_fault_of_ours_is_a_5xx_so_that_the_provider_tries_again(system: System) -> None:
    address = await _address(system)
    await system.run_sql("ALTER TABLE subscriptions.subscription RENAME COLUMN unsubscribed_at TO hidden")
    try:
        assert (await system.visitor.post(address, data=ONE_CLICK)).status_code >= 500
    finally:
        await system.run_sql("ALTER TABLE subscriptions.subscription RENAME COLUMN hidden TO unsubscribed_at")
    assert await _state(system) == "confirmed"
    assert (await system.visitor.post(address, data=ONE_CLICK)).status_code == 200
    assert await _state(system) == "unsubscribed"


async def test_both_parts_of_the_mail_have_a_way_to_leave(system: System) -> None:
    address = await _address(system)
    mail = system.newsletter_mails()[-1]
    assert address in mail.text
    assert address in mail.html
