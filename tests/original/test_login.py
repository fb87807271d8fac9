"""Logging in and out, and what a session is."""

import asyncio
from typing import Any

import argon2
import pytest
from redis.asyncio import Redis

from broadsheet_common.process.settings import HttpUrl
from broadsheet_gateway.accounts.default_credentials import DefaultCredentialsError
from harness.cluster import Database
from harness.seeding import Seed
from harness.system import PASSWORD, USERNAME, System, running_system

COOKIE = "broadsheet_session"
ADMIN_REQUESTS = [
    ("GET", "/admin"),
    ("GET", "/admin/dashboard"),
    ("GET", "/admin/newsletters"),
    ("POST", "/admin/newsletters"),
    ("GET", "/admin/password"),
    ("POST", "/admin/password"),
    ("POST", "/admin/logout"),
    ("GET", "/admin/issues/1"),
    ("GET", "/admin/issues/1/progress"),
    ("GET", "/admin/no-such-page"),
    ("DELETE", "/admin/dashboard"),
]


@pytest.mark.parametrize(
    ("username", "password"), [(USERNAME, "wrong"), ("nobody", PASSWORD), (USERNAME, ""), ("", "")]
)
async def test_a_failed_login_leads_back_with_a_message_shown_once(
    system: System, username: str, password: str
) -> None:
    answer = await system.log_in(username, password)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Authentication failed" in (await system.visitor.get("/login")).text
    assert "Authentication failed" not in (await system.visitor.get("/login")).text
    assert (await system.visitor.get("/admin/dashboard")).status_code == 303


async def test_a_login_reaches_the_dashboard_which_greets_the_user(system: System) -> None:
    answer = await system.log_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/dashboard")
    dashboard = await system.visitor.get("/admin/dashboard")
    assert dashboard.status_code == 200
    assert f"Welcome {USERNAME}" in dashboard.text


@pytest.mark.parametrize(("method", "path"), ADMIN_REQUESTS)
async def test_every_admin_page_without_a_session_leads_to_the_login(system: System, method: str, path: str) -> None:
    answer = await system.visitor.request(method, path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_logout_ends_the_session_and_says_so_once(system: System) -> None:
    await system.log_in()
    session_id = system.visitor.cookies[COOKIE]
    answer = await system.visitor.post("/admin/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "You have successfully logged out." in (await system.visitor.get("/login")).text
    assert "You have successfully logged out." not in (await system.visitor.get("/login")).text
    assert COOKIE not in system.visitor.cookies
    async with system.client(cookie=f"{COOKIE}={session_id}") as thief:
        assert (await thief.get("/admin/dashboard")).headers["location"] == "/login"


async def test_a_login_renews_the_session_so_that_none_can_be_planted(system: System) -> None:
    planted = "A" * 43
    system.visitor.cookies.set(COOKIE, planted, domain="127.0.0.1")
    answer = await system.log_in()
    first = answer.cookies[COOKIE]
    assert first != planted
    async with system.client(cookie=f"{COOKIE}={planted}") as attacker:
        assert (await attacker.get("/admin/dashboard")).status_code == 303


async def test_a_second_login_in_the_same_browser_ends_the_first_session(system: System) -> None:
    first = (await system.log_in()).cookies[COOKIE]
    second = (await system.log_in()).cookies[COOKIE]
    assert first != second
    async with system.client(cookie=f"{COOKIE}={first}") as old, system.client(cookie=f"{COOKIE}={second}") as new:
        assert (await old.get("/admin/dashboard")).status_code == 303
        assert (await new.get("/admin/dashboard")).status_code == 200


async def test_the_session_cookie_lasts_a_day_and_no_script_can_read_it(system: System) -> None:
    header = (await system.log_in()).headers["set-cookie"].lower()
    for attribute in ("max-age=86400", "httponly", "samesite=lax", "path=/"):
        assert attribute in header


async def test_redis_holds_the_session_for_at_most_a_day_and_not_by_its_id(
    system: System, redis_owner_url: str
) -> None:
    redis = Redis.from_url(redis_owner_url)
    try:
        before = set(await redis.keys("broadsheet:session:*"))
        session_id = (await system.log_in()).cookies[COOKIE]
        [made] = set(await redis.keys("broadsheet:session:*")) - before
        assert session_id.encode() not in made
        assert 0 < await redis.ttl(made) <= 86_400
        await redis.delete(made)
    finally:
        await redis.aclose()
    assert (await system.visitor.get("/admin/dashboard")).status_code == 303


async def test_a_session_ends_at_its_lifetime_however_busy_it_is(system: System, redis_owner_url: str) -> None:
    redis = Redis.from_url(redis_owner_url)
    try:
        before = set(await redis.keys("broadsheet:session:*"))
        await system.log_in()
        [made] = set(await redis.keys("broadsheet:session:*")) - before
        for _ in range(3):
            assert (await system.visitor.get("/admin/dashboard")).status_code == 200
        # Each use puts off the idle end alone: this one is in the past.
        await redis.hset(made, "ends_at", 1)
        assert (await system.visitor.get("/admin/dashboard")).status_code == 303
        assert not await redis.exists(made)
    finally:
        await redis.aclose()


async def test_an_unknown_user_costs_the_same_work_as_a_wrong_password(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = argon2.PasswordHasher.verify

    def spy(self: argon2.PasswordHasher, hash: Any, password: Any) -> Any:  # noqa: A002  # argon2's own name
        checked.append(str(hash).rpartition("$")[0].rpartition("$")[0])
        return verify(self, hash, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    await system.log_in(USERNAME, "wrong")
    await system.log_in("nobody", "wrong")
    known, unknown = checked
    assert known == unknown, "the same algorithm with the same parameters, once each"


async def test_twenty_logins_at_once_all_succeed(system: System) -> None:
    async def log_in() -> str:
        async with system.client() as browser:
            answer = await browser.post("/login", data={"username": USERNAME, "password": PASSWORD})
            assert answer.status_code == 303
            return str(answer.headers["location"])

    assert set(await asyncio.gather(*(log_in() for _ in range(20)))) == {"/admin/dashboard"}


async def test_a_production_start_refuses_the_default_credentials(
    database: Database, redis_url: str, seed: Seed, shared_system: System
) -> None:
    """The user is made when the first start is over, so it is the second start that finds it."""
    sandbox = shared_system.sandbox
    async with running_system(database, redis_url, sandbox, seed):
        pass
    production = running_system(
        database,
        redis_url,
        sandbox,
        seed,
        broadsheet_env="production",
        public_url=HttpUrl.parse("https://news.example.com"),
    )
    with pytest.RaisesGroup(DefaultCredentialsError, allow_unwrapped=True, flatten_subgroups=True):
        async with production:
            pytest.fail("it started")
