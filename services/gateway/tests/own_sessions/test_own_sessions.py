"""What users see of their sessions, how sessions end, and what needs a fresh proof."""

import re
from collections.abc import Awaitable
from typing import cast

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from broadsheet_gateway.access.rights import NO_RIGHTS
from broadsheet_gateway.accounts.current_session import (
    CurrentSession,
    RecentAuthenticationNeededError,
    Session,
    require_recent,
)
from broadsheet_gateway.accounts.sessions import KEY_PREFIX, SESSIONS_OF_USER_MAX, SessionData, Sessions
from broadsheet_gateway.http.browser_name import browser_name
from broadsheet_gateway.own_sessions.session_pages import page_to_return_to

from ..conftest import PASSWORD, Gateway, MakeGateway, csrf_token_of, log_in

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SESSIONS = "/admin/account/sessions"
_HANDLE = re.compile(r'name="session" value="([0-9a-f]{64})"')


@pytest.fixture
def sessions(limited_redis: Redis) -> Sessions:
    return Sessions(limited_redis, lifetime_s=1000, idle_s=1000)


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/admin/password")).status_code == 200


async def test_a_user_sees_where_and_since_when_they_are_signed_in(gateway: Gateway) -> None:
    await gateway.signed_in(user_agent=FIREFOX)
    await gateway.signed_in("another")
    here = await gateway.client(address="192.0.2.7", user_agent="<b>curl/8.1</b>")
    await log_in(here)
    page = (await here.get(SESSIONS)).text
    assert page.count("Firefox on Linux") == 2  # named, and named again on its button
    assert page.index("This one") < page.index("Firefox on Linux")
    assert "From 192.0.2.7 · signed in" in page
    assert "<b>" not in page
    assert len(_HANDLE.findall(page)) == 1


async def test_one_of_ones_own_sessions_is_ended_and_the_others_go_on(gateway: Gateway) -> None:
    lost, here = await gateway.signed_in(), await gateway.signed_in()
    (handle,) = _HANDLE.findall((await here.get(SESSIONS)).text)
    answer = await here.post(f"{SESSIONS}/end", data={"session": handle})
    assert (answer.status_code, answer.headers["location"]) == (303, SESSIONS)
    assert "That session has ended." in (await here.get(SESSIONS)).text
    assert not await is_signed_in(lost)
    assert await is_signed_in(here)
    await here.post(f"{SESSIONS}/end", data={"session": handle})
    assert "That session was over already." in (await here.get(SESSIONS)).text


@pytest.mark.parametrize("handle", ["nonsense", "", "0" * 64])
async def test_what_names_no_session_ends_none(gateway: Gateway, handle: str) -> None:
    here = await gateway.signed_in()
    assert (await here.post(f"{SESSIONS}/end", data={"session": handle})).status_code == 303
    assert await is_signed_in(here)


async def test_nobody_ends_the_session_of_somebody_else(gateway: Gateway) -> None:
    victim, second = await gateway.signed_in(), await gateway.signed_in()
    (handle,) = _HANDLE.findall((await second.get(SESSIONS)).text)
    stranger = await gateway.signed_in("stranger")
    await stranger.post(f"{SESSIONS}/end", data={"session": handle})
    assert await is_signed_in(victim)


async def test_all_others_end_at_once_and_ones_own_goes_on_under_a_new_id(gateway: Gateway) -> None:
    others, here = [await gateway.signed_in() for _ in range(2)], await gateway.signed_in()
    before = dict(here.cookies)
    answer = await here.post(f"{SESSIONS}/end-others", data={"csrf_token": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, SESSIONS)
    assert "All your other sessions have ended." in (await here.get(SESSIONS)).text
    assert dict(here.cookies) != before
    assert [await is_signed_in(other) for other in others] == [False, False]
    old = await gateway.client()
    old.cookies.update(before)
    assert not await is_signed_in(old)


async def test_a_browsers_form_about_sessions_needs_the_token(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    other = await gateway.signed_in()
    browser = {"sec-fetch-site": "same-origin"}
    assert (
        await here.post(f"{SESSIONS}/end-others", headers=browser, data={"csrf_token": "0" * 64})
    ).status_code == 403
    assert await is_signed_in(other)
    token = await csrf_token_of(here)
    assert (await here.post(f"{SESSIONS}/end-others", headers=browser, data={"csrf_token": token})).status_code == 303


async def test_an_order_in_the_database_ends_sessions_that_redis_still_has_and_later_ones_begin(
    gateway: Gateway,
) -> None:
    before = await gateway.signed_in()
    gateway.sql("UPDATE gateway.user_account SET sessions_end_before = clock_timestamp()")
    assert not await is_signed_in(before)
    assert [key async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*")] == []
    assert await is_signed_in(await gateway.signed_in())


async def test_a_deactivated_user_neither_stays_nor_comes_back(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    assert not await is_signed_in(client)
    assert (await log_in(client)).headers["location"] == "/login"
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = NULL")
    assert (await log_in(client)).headers["location"] == "/admin/dashboard"


async def test_a_user_without_a_password_does_not_sign_in_by_one(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET password_hash = NULL")
    assert (await log_in(await gateway.client())).headers["location"] == "/login"


async def test_ones_address_signs_in_like_ones_name_and_nobody_takes_a_name_by_it(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET email = 'Ada@Example.com', email_key = 'ada@example.com'")
    client = await gateway.client()
    assert (await log_in(client, "aDa@example.COM")).headers["location"] == "/admin/dashboard"
    assert "Welcome author" in (await client.get("/admin/dashboard")).text
    await gateway.add_user("ada@example.com", "another long passphrase, 2")
    assert (await log_in(client, "ada@example.com")).headers["location"] == "/login"


async def test_spellings_of_one_address_share_one_count(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="2/3600")
    client = await gateway.client()
    names = ("ada@example.com", "ADA@example.com", " ada@EXAMPLE.com ")
    assert [(await log_in(client, name)).status_code for name in names] == [303, 303, 429]


async def test_the_number_of_a_users_sessions_is_bounded(gateway: Gateway, sessions: Sessions) -> None:
    await gateway.add_user()
    newest = [await sessions.start(SessionData(1, 0)) for _ in range(SESSIONS_OF_USER_MAX + 5)][-1]
    assert len(await sessions.list_of(1)) == SESSIONS_OF_USER_MAX
    assert await sessions.find(newest) is not None


def _session(*, is_recent: bool) -> Session:
    return Session(id="x", user_id=1, username="author", rights=NO_RIGHTS, data=SessionData(1, 0), is_recent=is_recent)


def test_what_needs_a_fresh_proof_is_refused_without_one() -> None:
    require_recent(_session(is_recent=True))
    with pytest.raises(RecentAuthenticationNeededError):
        require_recent(_session(is_recent=False))


async def _age_proof(gateway: Gateway, seconds: int) -> None:
    """Lets every session have been proved that much longer ago."""
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        record = await cast("Awaitable[bytes]", gateway.redis.hget(key, "data"))
        data = msgspec.json.decode(record)
        data["authenticated_at_us"] -= seconds * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))


async def test_a_proof_is_recent_for_a_while_and_the_password_renews_it(gateway: Gateway, sessions: Sessions) -> None:
    client = await gateway.signed_in()
    finder = CurrentSession(engine=gateway.engine, sessions=sessions, cookie_name="broadsheet_session", recent_s=900)

    async def is_recent() -> bool:
        session = await finder.find(client.cookies)
        assert session is not None
        return session.is_recent

    assert await is_recent()
    await _age_proof(gateway, 901)
    assert not await is_recent()
    page = await client.get("/admin/confirm?next=/admin/account/sessions")
    assert 'name="next" value="/admin/account/sessions"' in page.text
    before = dict(client.cookies)
    wrong = await client.post("/admin/confirm", data={"password": "wrong", "next": SESSIONS})
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    assert not await is_recent()
    right = await client.post("/admin/confirm", data={"password": PASSWORD, "next": SESSIONS})
    assert (right.status_code, right.headers["location"]) == (303, SESSIONS)
    assert dict(client.cookies) != before
    assert await is_recent()


async def test_a_proof_does_not_last_because_the_clock_went_back(gateway: Gateway) -> None:
    """The database was restored on a machine whose clock is an hour behind."""
    client = await gateway.signed_in()
    await _age_proof(gateway, -3600)
    answer = await client.get("/admin/account/second-factor", headers={"accept": "text/html"})
    assert answer.headers["location"].startswith("/admin/confirm?next=")
    await client.post("/admin/confirm", data={"password": PASSWORD})
    assert (await client.get("/admin/account/second-factor")).status_code == 200


async def test_a_look_whether_a_session_is_there_does_not_put_off_its_idle_end(
    gateway: Gateway, sessions: Sessions
) -> None:
    session_id = await sessions.start(SessionData(1, 0))
    [key] = [key async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*")]
    await gateway.redis.expire(key, 500)
    assert await sessions.find(session_id, is_use=False) is not None
    assert await gateway.redis.ttl(key) <= 500
    assert await sessions.find(session_id) is not None
    assert await gateway.redis.ttl(key) > 500


async def test_keys_users_and_exports_need_a_fresh_proof_of_a_session_and_none_of_a_key(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    token = await csrf_token_of(client)
    headers = {"sec-fetch-site": "same-origin", "x-csrf-token": token}
    made = await client.post("/api/v1/api-keys", json={"name": "one", "scopes": ["issues:read"]}, headers=headers)
    assert made.status_code == 201
    await _age_proof(gateway, 901)
    assert (await client.get("/api/v1/api-keys")).status_code == 200
    asked = [
        ("POST", "/api/v1/api-keys"),
        ("POST", "/api/v1/api-keys/1/revoke"),
        ("POST", "/api/v1/users/1/deactivate"),
        ("POST", "/api/v1/users/invitations"),
        ("POST", "/api/v1/users/invitations/1/send-again"),
        ("DELETE", "/api/v1/users/invitations/1"),
        ("GET", "/api/v1/exports/subscribers"),
        ("HEAD", "/api/v1/exports/subscribers"),
        ("GET", "/api/v1/subscribers/1/export"),
    ]
    for method, path in asked:
        refused = await client.request(method, path, headers=headers)
        assert refused.status_code == 403, path
        if method != "HEAD":
            assert refused.json()["type"] == "urn:broadsheet:problem:recent-authentication-needed"
    assert gateway.sql("SELECT count(*) FROM gateway.api_key WHERE revoked_at IS NULL") == [(1,)]
    by_key = await gateway.api_client("admin")
    answer = await by_key.post("/api/v1/api-keys", json={"name": "two", "scopes": ["users:read"]})
    assert answer.status_code == 201


async def test_the_fresh_proof_is_limited_like_a_login(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="2/3600")
    client = await gateway.signed_in()
    tries = [(await client.post("/admin/confirm", data={"password": "wrong"})).status_code for _ in range(3)]
    assert tries == [422, 422, 429]
    # It is one count: who guessed here does not guess on at the login.
    assert (await log_in(await gateway.client())).status_code == 429


@pytest.mark.parametrize(
    "text",
    [None, "", "https://evil.example", "//evil.example", "/login", "/administrator", "/admin/../login", "/admin//x",
     "/admin/x?y=1", "/admin\\evil", "/admin/\n", "/admin/" + "a" * 65],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_a_proof(text: str | None) -> None:
    assert page_to_return_to(text) == "/admin/dashboard"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18 Mobile/15E Safari/604",
         "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537 (KHTML, like Gecko) Chrome/140 Safari/537 Edg/140",
         "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537 (KHTML, like Gecko) Chrome/140 Safari/537",
         "Chrome on macOS"),
        ("", "Unknown program"),
        ("<script>alert(1)</script>", "Unknown program"),
    ],
)  # fmt: skip
def test_a_program_is_named_from_a_list_of_ours(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
