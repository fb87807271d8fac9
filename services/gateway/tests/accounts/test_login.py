"""Logging in and out, and what a session is."""

import asyncio
import re
import time

import httpx
import pytest
import structlog
from argon2 import PasswordHasher
from redis.asyncio import Redis
from selectolax.lexbor import LexborHTMLParser

from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import KEY_PREFIX, SessionData, Sessions
from broadsheet_gateway.limits.limiter import Limiter
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_gateway.sign_in.admission import Admission, Visit
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIns
from broadsheet_gateway.sign_in.log_in import WrongCredentials, log_in

from ..conftest import PASSWORD, Gateway, MakeGateway, csrf_token_of
from ..conftest import log_in as post_login

SESSION_COOKIE = "broadsheet_session"


def cookie_line(response: httpx.Response, name: str) -> str:
    (line,) = [line for line in response.headers.get_list("set-cookie") if line.startswith(f"{name}=")]
    return line


async def test_a_right_password_leads_to_the_dashboard(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    page = await client.get("/admin/dashboard")
    assert page.status_code == 200
    assert "Welcome author" in page.text


async def test_a_wrong_password_leads_back_with_a_message_shown_once(gateway: Gateway) -> None:
    await gateway.add_user()
    client = await gateway.client()
    response = await post_login(client, password="wrong")
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert "Authentication failed" in (await client.get("/login")).text
    assert "Authentication failed" not in (await client.get("/login")).text


async def test_a_flash_cookie_with_a_text_of_its_own_is_not_shown(gateway: Gateway) -> None:
    client = await gateway.client(cookie="broadsheet_flash=<b>Send%20your%20password</b>")
    page = await client.get("/login")
    assert page.status_code == 200
    assert "Send" not in page.text


async def test_the_dashboard_needs_a_login(gateway: Gateway) -> None:
    client = await gateway.client()
    response = await client.get("/admin/dashboard")
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert "Log in to see that page." in (await client.get("/login")).text


async def test_logging_out_ends_the_session_and_says_so(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    stolen = {SESSION_COOKIE: client.cookies[SESSION_COOKIE]}
    response = await client.post("/admin/logout")
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert "You have successfully logged out." in (await client.get("/login")).text
    assert SESSION_COOKIE not in client.cookies
    thief = await gateway.client()
    thief.cookies.update(stolen)
    assert (await thief.get("/admin/dashboard")).status_code == 303


async def test_the_session_gets_a_new_id_at_login_and_the_old_one_ends(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    before = client.cookies[SESSION_COOKIE]
    await post_login(client)
    after = client.cookies[SESSION_COOKIE]
    assert before != after
    other = await gateway.client()
    other.cookies.set(SESSION_COOKIE, before)
    assert (await other.get("/admin/dashboard")).status_code == 303


async def test_an_id_that_was_planted_before_the_login_opens_nothing(gateway: Gateway) -> None:
    await gateway.add_user()
    planted = "A" * 43
    client = await gateway.client()
    client.cookies.set(SESSION_COOKIE, planted)
    await post_login(client)
    attacker = await gateway.client()
    attacker.cookies.set(SESSION_COOKIE, planted)
    assert (await attacker.get("/admin/dashboard")).status_code == 303


async def test_cookies_on_plain_http_are_http_only_and_lax(gateway: Gateway) -> None:
    await gateway.add_user()
    response = await post_login(await gateway.client())
    attributes = {part.strip().lower() for part in cookie_line(response, SESSION_COOKIE).split(";")[1:]}
    assert attributes == {"httponly", "samesite=lax", "path=/", "max-age=86400"}


async def test_cookies_on_https_are_bound_to_the_host_and_secure(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url="https://news.example.com")
    await gateway.add_user()
    response = await post_login(await gateway.client())
    line = cookie_line(response, "__Host-broadsheet_session")
    attributes = {part.strip().lower() for part in line.split(";")[1:]}
    assert attributes == {"httponly", "samesite=lax", "path=/", "secure", "max-age=86400"}
    failed = await post_login(await gateway.client(), password="wrong")
    assert "secure" in cookie_line(failed, "__Host-broadsheet_flash").lower()


async def test_a_session_ends_when_idle_and_after_its_lifetime(redis: Redis, limited_redis: Redis) -> None:
    sessions = Sessions(limited_redis, lifetime_s=1000, idle_s=100)
    data = SessionData(user_id=1, password_changed_at_us=5)
    session_id = await sessions.start(data)
    (key,) = [key async for key in redis.scan_iter(f"{KEY_PREFIX}*")]
    assert session_id.encode() not in key
    assert 90 < await redis.ttl(key) <= 100
    await redis.expire(key, 50)
    assert await sessions.find(session_id) == data
    assert 90 < await redis.ttl(key) <= 100

    # Near the end of its lifetime a request no longer puts the end off.
    await redis.hset(key, "ends_at", (await limited_redis.time())[0] + 20)
    assert await sessions.find(session_id) == data
    assert await redis.ttl(key) <= 20
    await redis.hset(key, "ends_at", (await limited_redis.time())[0] - 1)
    assert await sessions.find(session_id) is None
    assert await redis.exists(key) == 0


async def test_all_sessions_of_a_user_end_and_no_others(limited_redis: Redis) -> None:
    sessions = Sessions(limited_redis, lifetime_s=1000, idle_s=100)
    first, second = [await sessions.start(SessionData(1, 5)) for _ in range(2)]
    other = await sessions.start(SessionData(2, 5))
    assert await sessions.end_all(1) == 2
    assert [await sessions.find(s) is not None for s in (first, second, other)] == [False, False, True]


async def test_a_users_set_forgets_sessions_that_are_gone(redis: Redis, limited_redis: Redis) -> None:
    sessions = Sessions(limited_redis, lifetime_s=1000, idle_s=100)
    for _ in range(3):
        await sessions.end(await sessions.start(SessionData(1, 5)))
    await sessions.start(SessionData(1, 5))
    assert await redis.scard("broadsheet:user-sessions:1") == 1


@pytest.mark.parametrize("session_id", ["", "short", "A" * 43 + "\n", "é" * 43, "*" * 43])
async def test_what_is_no_id_of_ours_is_not_looked_up(limited_redis: Redis, session_id: str) -> None:
    assert await Sessions(limited_redis, lifetime_s=1000, idle_s=100).find(session_id) is None


async def test_an_unknown_user_takes_the_same_steps_as_a_wrong_password(gateway: Gateway, limited_redis: Redis) -> None:
    await gateway.add_user()
    hashing = PasswordHashing(concurrency=1, queue_max=1)
    sessions = Sessions(limited_redis, lifetime_s=1000, idle_s=100)
    notes = SignInNotes(gateway.engine, Limiter(None))
    admission = Admission(sessions=sessions, half_sign_ins=HalfSignIns(limited_redis), notes=notes)
    visit = Visit(source="192.0.2.1", browser="", address=None, earlier_session_id=None)

    async def attempt(username: str) -> float:
        started = time.process_time()  # of all threads, whatever else the machine does
        result = await log_in(
            username=username, password="not the password", visit=visit, admission=admission, notes=notes,
            may_use_default_password=False, engine=gateway.engine, hashing=hashing,
        )  # fmt: skip
        assert isinstance(result, WrongCredentials)
        return time.process_time() - started

    await attempt("author")
    assert hashing.verifications == 1
    await attempt("nobody")
    assert hashing.verifications == 2
    # The processor time says the same: a step that was left out would show (a check is about 20 ms).
    known = sorted([await attempt("author") for _ in range(7)])[3]
    unknown = sorted([await attempt("nobody") for _ in range(7)])[3]
    assert 0.5 < known / unknown < 2.0


async def test_a_hash_with_old_parameters_is_renewed_at_login_and_sessions_go_on(gateway: Gateway) -> None:
    first = await gateway.signed_in()
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    gateway.sql("UPDATE gateway.user_account SET password_hash = %s", old)
    await gateway.signed_in()
    ((new,),) = gateway.sql("SELECT password_hash FROM gateway.user_account")
    assert new != old
    assert "m=19456,t=2,p=1" in new
    assert (await first.get("/admin/dashboard")).status_code == 200


async def test_the_default_password_opens_nothing_in_production(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(broadsheet_env="production")
    await gateway.add_user("admin")
    gateway.sql("UPDATE gateway.user_account SET password_hash = %s", PasswordHasher().hash(DEFAULT_PASSWORD))
    response = await post_login(await gateway.client(), "admin", DEFAULT_PASSWORD)
    assert response.headers["location"] == "/login"


async def test_logins_are_limited_by_user_and_by_address(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="3/3600", login_limit_per_ip="5/3600")
    await gateway.add_user()
    client = await gateway.client()
    statuses = [(await post_login(client, password="wrong")).status_code for _ in range(4)]
    assert statuses == [303, 303, 303, 429]
    refused = await post_login(client)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["ratelimit-policy"] == '"login-user";q=3;w=3600'
    assert "Too many attempts" in refused.text
    # Other names from the same address meet the address's own limit.
    others = [(await post_login(client, username=f"user-{n}", password="wrong")).status_code for n in range(3)]
    assert others == [303, 303, 429]


async def test_who_typed_too_often_is_offered_every_other_way_in(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url="https://news.example.com", login_limit_per_user="1/3600")
    await gateway.add_user()
    client = await gateway.client()
    await post_login(client, password="wrong")
    refused = await post_login(client)
    assert refused.status_code == 429
    ways = re.findall(r'(?:action|href)="(/(?:login|password-reset)[^"]*)"', (await client.get("/login")).text)
    assert {"/login", "/login/passkey", "/password-reset"} <= set(ways)
    assert re.findall(r'(?:action|href)="(/(?:login|password-reset)[^"]*)"', refused.text) == ways


async def test_wrong_tries_from_elsewhere_do_not_lock_the_owner_out(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="3/3600", login_limit_per_user_overall="7/3600")
    await gateway.add_user()
    for address in ("192.0.2.1", "192.0.2.2"):
        attacker = await gateway.client(address=address)
        statuses = [(await post_login(attacker, password="wrong")).status_code for _ in range(4)]
        assert statuses == [303, 303, 303, 429]
    owner = await gateway.client(address="198.51.100.7")
    assert (await post_login(owner)).headers["location"] == "/admin/dashboard"
    # The wide cap over all sources.
    assert (await post_login(await gateway.client(address="192.0.2.3"), password="wrong")).status_code == 429


async def test_sign_ins_lockouts_and_password_changes_are_security_events(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="2/3600")
    await gateway.add_user()
    client = await gateway.client(address="192.0.2.1")
    new = "quite another passphrase"
    with structlog.testing.capture_logs() as logged:
        await post_login(client, password="wrong")
        await post_login(client, username="nobody", password="wrong")
        await post_login(client)
        for current in ("wrong", PASSWORD):
            form = {"current_password": current, "new_password": new, "new_password_check": new}
            await client.post("/admin/password", data=form)
        another = await gateway.client(address="192.0.2.2")
        for _ in range(5):
            await post_login(another, password="wrong")
    # What was audited is logged by a loop of its own, later.
    audited = "security.audited"
    events = [e for e in logged if e["event"].startswith("security.") and e["event"] != audited]
    assert [(e["event"], e["user_id"]) for e in events] == [
        ("security.login_refused", 1),
        ("security.login_refused", None),
        ("security.login_succeeded", 1),
        ("security.password_change_refused", 1),
        ("security.password_changed", 1),
        ("security.login_refused", 1),
        ("security.login_refused", 1),
        ("security.login_limited", 1),  # once, however often it is tried
    ]
    assert not {"192.0.2", "author", "nobody", new} & {word for e in events for word in map(str, e.values())}


async def test_a_login_that_succeeds_gives_the_users_quota_back(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="2/3600")
    for _ in range(5):
        await gateway.signed_in()


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}]
)
async def test_another_site_cannot_log_a_visitor_in(gateway: Gateway, headers: dict[str, str]) -> None:
    await gateway.add_user()
    client = await gateway.client()
    response = await client.post("/login", data={"username": "author", "password": PASSWORD}, headers=headers)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


async def test_a_changed_password_ends_every_other_session(gateway: Gateway) -> None:
    here, elsewhere = await gateway.signed_in(), await gateway.signed_in()
    new = "quite another passphrase"
    response = await here.post(
        "/admin/password",
        data={"current_password": PASSWORD, "new_password": new, "new_password_check": new},
    )
    assert (response.status_code, response.headers["location"]) == (303, "/admin/password")
    assert "Your password has been changed." in (await here.get("/admin/password")).text
    assert (await elsewhere.get("/admin/dashboard")).status_code == 303
    client = await gateway.client()
    assert (await post_login(client)).headers["location"] == "/login"
    assert (await post_login(client, password=new)).headers["location"] == "/admin/dashboard"


async def test_a_password_changed_behind_redis_back_ends_sessions_all_the_same(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    gateway.sql("UPDATE gateway.user_account SET password_changed_at = clock_timestamp()")
    assert (await client.get("/admin/dashboard")).status_code == 303
    assert [key async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*")] == []


async def test_a_deleted_user_has_no_session(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    gateway.sql("DELETE FROM gateway.user_account")
    assert (await client.get("/admin/dashboard")).status_code == 303


@pytest.mark.parametrize(
    ("new", "repeated", "field", "message"),
    [
        ("one new passphrase", "another passphrase", "new_password_check", "You entered two different new passwords"),
        ("short", "short", "new_password", "between 12 and 128 characters long"),
        ("x" * 129, "x" * 129, "new_password", "between 12 and 128 characters long"),
        (
            "quite another passphrase",
            "quite another passphrase",
            "current_password",
            "The current password is incorrect.",
        ),
    ],
)
async def test_a_refused_password_is_said_once_at_its_field_and_changes_nothing(
    gateway: Gateway, new: str, repeated: str, field: str, message: str
) -> None:
    client = await gateway.signed_in()
    form = {"current_password": "wrong", "new_password": new, "new_password_check": repeated}
    response = await client.post("/admin/password", data=form)
    assert (response.status_code, response.headers["location"]) == (303, "/admin/password")
    page = LexborHTMLParser((await client.get("/admin/password")).text)
    assert message in page.css(f"#{field}-error")[0].text()
    assert message in page.css(f'.error-summary a[href="#{field}"]')[0].text()
    assert message not in (await client.get("/admin/password")).text
    await gateway.signed_in()


@pytest.mark.parametrize(
    ("new", "why"), [("password1234", "Many people use this password."), ("Author2026!!", "what others know of you")]
)
async def test_a_password_that_is_easy_to_guess_is_refused_with_the_reason_at_its_field(
    gateway: Gateway, new: str, why: str
) -> None:
    client = await gateway.signed_in()
    form = {"current_password": PASSWORD, "new_password": new, "new_password_check": new}
    response = await client.post("/admin/password", data=form)
    assert response.status_code == 422
    assert why in response.text
    assert new not in response.text
    await gateway.signed_in()


async def test_of_two_changes_at_once_one_wins(gateway: Gateway) -> None:
    clients = [await gateway.signed_in() for _ in range(2)]
    new = ["the first new passphrase", "the second new passphrase"]
    await asyncio.gather(
        *(
            client.post(
                "/admin/password",
                data={"current_password": PASSWORD, "new_password": new[n], "new_password_check": new[n]},
            )
            for n, client in enumerate(clients)
        )
    )
    client = await gateway.client()
    opened = [(await post_login(client, password=p)).headers["location"] == "/admin/dashboard" for p in new]
    assert sorted(opened) == [False, True]


async def test_the_password_check_is_limited_for_a_session_too(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_user="2/3600")
    client = await gateway.signed_in()
    new = "quite another passphrase"
    form = {"current_password": "wrong", "new_password": new, "new_password_check": new}
    assert [(await client.post("/admin/password", data=form)).status_code for _ in range(3)] == [303, 303, 429]


async def test_a_browsers_form_needs_the_sessions_token(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    token = await csrf_token_of(client)
    browser = {"sec-fetch-site": "same-origin"}
    assert (await client.post("/admin/logout", headers=browser)).status_code == 403
    assert (await client.post("/admin/logout", headers=browser, data={"csrf_token": "0" * 64})).status_code == 403
    assert (
        await client.post("/admin/logout", headers={"sec-fetch-site": "cross-site"}, data={"csrf_token": token})
    ).status_code == 403
    assert (await client.get("/admin/dashboard")).status_code == 200
    assert (await client.post("/admin/logout", headers=browser, data={"csrf_token": token})).status_code == 303


async def test_a_damaged_hash_is_a_fault_of_ours_not_a_wrong_password(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET password_hash = 'nonsense'")
    assert (await post_login(await gateway.client())).status_code == 500
