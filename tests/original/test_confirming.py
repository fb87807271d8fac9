"""The link in the confirmation mail: following it changes nothing, pressing its button confirms."""

import asyncio

import pytest

from harness.system import System

READER = "reader@example.com"
CONFIRM = "/subscriptions/confirm"


async def _state(system: System) -> str:
    [item] = (await system.api.get("/api/v1/subscribers")).json()["items"]
    return str(item["subscriptions"][0]["state"])


async def _link(system: System) -> str:
    await system.subscribe(READER)
    return await system.confirmation_link(READER)


@pytest.mark.parametrize(
    "query", ["", "?subscription_token=", "?other=1", "?subscription_token=a&subscription_token=b"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_token_it_is_400(system: System, method: str, query: str) -> None:
    assert (await system.visitor.request(method, CONFIRM + query)).status_code == 400


@pytest.mark.parametrize("token", ["unknown", "a" * 43, "%00", "..%2F..", "é", "x" * 5000, "'; DROP TABLE x; --"])
async def test_an_unknown_token_is_401(system: System, token: str) -> None:
    assert (await system.visitor.get(CONFIRM, params={"subscription_token": token})).status_code == 401
    assert (await system.visitor.post(CONFIRM, params={"subscription_token": token})).status_code == 401
    posted = await system.visitor.post(CONFIRM, data={"subscription_token": token})
    assert posted.status_code == 401


async def test_the_mailed_link_answers_200_with_a_button(system: System) -> None:
    answer = await system.visitor.get(await _link(system))
    assert answer.status_code == 200
    assert f'action="{CONFIRM}"' in answer.text
    assert "Confirm my subscription" in answer.text


async def test_following_the_link_changes_nothing_since_mail_scanners_do(system: System) -> None:
    link = await _link(system)
    for method in ("GET", "HEAD", "GET"):
        assert (await system.visitor.request(method, link)).status_code == 200
    assert await _state(system) == "pending"


async def test_pressing_confirm_confirms(system: System) -> None:
    link = await _link(system)
    answer = await system.confirm(link)
    assert answer.status_code == 200
    assert await _state(system) == "confirmed"


async def test_the_link_itself_posted_without_a_body_confirms(system: System) -> None:
    assert (await system.visitor.post(await _link(system))).status_code == 200
    assert await _state(system) == "confirmed"


async def test_confirming_a_second_time_shows_success(system: System) -> None:
    link = await _link(system)
    await system.confirm(link)
    [(first_at,)] = system.seed.execute("SELECT confirmed_at FROM subscriptions.subscription")
    assert (await system.confirm(link)).status_code == 200
    assert "already subscribed" in (await system.visitor.get(link)).text
    assert await _state(system) == "confirmed"
    assert system.seed.execute("SELECT confirmed_at FROM subscriptions.subscription") == [(first_at,)]


async def test_confirming_ten_times_at_once_confirms_once(system: System) -> None:
    link = await _link(system)
    answers = await asyncio.gather(*(system.confirm(link) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await _state(system) == "confirmed"


async def test_an_expired_token_is_401_and_confirms_nothing(system: System) -> None:
    link = await _link(system)
    system.seed.execute("UPDATE subscriptions.confirmation_token SET expires_at = now() - interval '1 s'")
    assert (await system.visitor.get(link)).status_code == 401
    assert (await system.confirm(link)).status_code == 401
    assert await _state(system) == "pending"


async def test_a_reader_of_the_database_finds_no_token_in_it(system: System) -> None:
    token = (await _link(system)).partition("subscription_token=")[2]
    for table in ("subscriptions.confirmation_token", "subscriptions.subscription", "delivery.single_mail"):
        rows = system.seed.execute(f"SELECT row_to_json(t)::text FROM {table} AS t")
        assert rows
        assert not any(token in str(row) for row in rows)


async def test_no_log_line_holds_a_token_or_an_address(system: System, capfd: pytest.CaptureFixture[str]) -> None:
    link = await _link(system)
    await system.visitor.get(link)
    await system.confirm(link)
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    unsubscribe = system.newsletter_mails()[0].headers["List-Unsubscribe"].strip("<>")
    await system.visitor.post(unsubscribe)
    logged = "".join(capfd.readouterr())
    assert "http.request" in logged, "the test sees the log"
    for secret in (link.partition("subscription_token=")[2], unsubscribe.rpartition("/")[2], READER):
        assert secret not in logged
