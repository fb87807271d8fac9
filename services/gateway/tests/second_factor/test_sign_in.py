"""Signing in with a second factor: a code is good once, a half sign-in is one browser's, wrong codes are capped."""

import asyncio

import pytest

from broadsheet_common.process.settings import Secret
from broadsheet_gateway.second_factor.check_code import TRIES_MAX
from broadsheet_gateway.sign_in.half_sign_ins import KEY_PREFIX
from broadsheet_gateway.sign_in.half_sign_ins import TRIES_MAX as HALF_TRIES_MAX

from ..accounts.test_audited_sign_ins import entries
from ..conftest import PASSWORD, Gateway, MakeGateway, log_in
from .conftest import LOGIN, PAGE, Authenticator, give, half_signed_in, is_signed_in, set_up

NEW_PASSWORD = "another long passphrase, 2"


@pytest.fixture
async def authenticator(gateway: Gateway) -> Authenticator:
    """Of the user `author`."""
    made, _ = await set_up(gateway, await gateway.signed_in())
    return made


@pytest.fixture
async def recovery_codes(gateway: Gateway) -> list[str]:
    _, codes = await set_up(gateway, await gateway.signed_in())
    return codes


async def test_a_code_is_good_once(gateway: Gateway, authenticator: Authenticator) -> None:
    code = authenticator.code()
    assert (await give(await half_signed_in(gateway), code)).status_code == 303
    second = await half_signed_in(gateway)
    assert (await give(second, code)).status_code == 422
    assert not await is_signed_in(second)
    assert (await give(second, authenticator.code(steps=1))).status_code == 303


async def test_of_two_that_bring_the_same_code_at_once_one_comes_in(
    gateway: Gateway, make_gateway: MakeGateway, authenticator: Authenticator
) -> None:
    """On two replicas."""
    replica = await make_gateway()
    for _ in range(5):
        authenticator.forget_use()
        first, second = await half_signed_in(gateway), await half_signed_in(replica)
        code = authenticator.code()
        answers = await asyncio.gather(give(first, code), give(second, code))
        assert sorted(answer.status_code for answer in answers) == [303, 422]


@pytest.mark.parametrize(("steps", "status"), [(-2, 422), (-1, 303), (0, 303), (1, 303), (2, 422)])
async def test_codes_of_the_steps_beside_now_are_taken(
    gateway: Gateway, authenticator: Authenticator, steps: int, status: int
) -> None:
    assert (await give(await half_signed_in(gateway), authenticator.code(steps=steps))).status_code == status


async def test_after_a_later_code_an_earlier_one_is_no_good(gateway: Gateway, authenticator: Authenticator) -> None:
    now = authenticator.code()
    assert (await give(await half_signed_in(gateway), authenticator.code(steps=1))).status_code == 303
    assert (await give(await half_signed_in(gateway), now)).status_code == 422


async def test_the_clock_that_counts_is_the_databases(
    gateway: Gateway, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert (await give(await half_signed_in(gateway), authenticator.code())).status_code == 303


async def test_a_recovery_code_signs_in_once(gateway: Gateway, recovery_codes: list[str]) -> None:
    code = recovery_codes[3]
    client = await half_signed_in(gateway)
    assert (await give(client, code.upper().replace("-", " "))).status_code == 303
    assert await is_signed_in(client)
    assert (await give(await half_signed_in(gateway), code)).status_code == 422
    first, second = await half_signed_in(gateway), await half_signed_in(gateway)
    answers = await asyncio.gather(give(first, recovery_codes[4]), give(second, recovery_codes[4]))
    assert sorted(answer.status_code for answer in answers) == [303, 422]


async def test_nobody_uses_the_recovery_code_of_somebody_else(gateway: Gateway, recovery_codes: list[str]) -> None:
    await set_up(gateway, await gateway.signed_in("second"))
    assert (await give(await half_signed_in(gateway, "second"), recovery_codes[0])).status_code == 422


async def test_a_half_sign_in_belongs_to_the_browser_that_began_it(
    gateway: Gateway, authenticator: Authenticator
) -> None:
    await half_signed_in(gateway)
    stranger = await gateway.client()
    assert (await stranger.get(LOGIN)).headers["location"] == "/login"
    assert (await give(stranger, authenticator.code())).headers["location"] == "/login"
    for token in ("", "short", "A" * 43, "*" * 43):
        stranger.cookies.set("broadsheet_half_sign_in", token)
        assert (await give(stranger, authenticator.code())).headers["location"] == "/login"
    assert not await is_signed_in(stranger)


async def test_a_half_sign_in_is_good_once_also_for_two_at_once(gateway: Gateway, authenticator: Authenticator) -> None:
    client = await half_signed_in(gateway)
    copy = await gateway.client()
    copy.cookies.update(dict(client.cookies))
    first, second = authenticator.code(), authenticator.code(steps=1)
    answers = await asyncio.gather(give(client, first), give(copy, second))
    signed_in = [answer for answer in answers if answer.headers.get("location") == "/admin/dashboard"]
    assert len(signed_in) == 1
    copy.cookies.clear()
    copy.cookies.update({"broadsheet_half_sign_in": "A" * 43})
    assert (await give(copy, authenticator.code(steps=1))).headers["location"] == "/login"


async def test_a_half_sign_in_ends_after_ten_minutes(gateway: Gateway, authenticator: Authenticator) -> None:
    client = await half_signed_in(gateway)
    [key] = [key async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*")]
    assert 590 < await gateway.redis.ttl(key) <= 600
    assert dict(client.cookies)["broadsheet_half_sign_in"].encode() not in key
    await gateway.redis.delete(key)  # as when its time is over
    answer = await give(client, authenticator.code())
    assert answer.headers["location"] == "/login"
    assert "broadsheet_half_sign_in" not in client.cookies
    assert "Log in again" in (await client.get("/login")).text


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE gateway.user_account SET password_changed_at = clock_timestamp()",
        "UPDATE gateway.user_account SET sessions_end_before = clock_timestamp()",
        "UPDATE gateway.user_account SET deactivated_at = now()",
    ],
)
async def test_what_ends_sessions_ends_half_sign_ins_too(
    gateway: Gateway, authenticator: Authenticator, change: str
) -> None:
    client = await half_signed_in(gateway)
    gateway.sql(change)
    assert (await give(client, authenticator.code())).headers["location"] == "/login"
    assert not await is_signed_in(client)


async def test_a_half_sign_in_takes_a_bounded_number_of_codes(gateway: Gateway, authenticator: Authenticator) -> None:
    client = await half_signed_in(gateway)
    for _ in range(HALF_TRIES_MAX):
        assert (await give(client, "000000")).status_code in {422, 429}
    gateway.sql("DELETE FROM gateway.second_factor_tries")
    assert (await give(client, authenticator.code())).headers["location"] == "/login"


async def test_wrong_codes_are_capped_for_a_user_over_all_sources_and_replicas(
    gateway: Gateway, make_gateway: MakeGateway, authenticator: Authenticator
) -> None:
    doors = [gateway, await make_gateway()]
    for number in range(TRIES_MAX):
        client = await half_signed_in(doors[number % 2], address=f"192.0.2.{number + 1}")
        assert (await give(client, "000000" if number % 3 else "aaaa-" * 5 + "aaaa")).status_code == 422
    last = await half_signed_in(gateway, address="198.51.100.1")
    refused = await give(last, authenticator.code())
    assert refused.status_code == 429
    assert 800 < int(refused.headers["retry-after"]) <= 901
    assert "Too many wrong codes" in refused.text
    # Time passes, by the database's clock.
    gateway.sql("UPDATE gateway.second_factor_tries SET counted_from = now() - interval '15 minutes'")
    assert (await give(last, authenticator.code())).status_code == 303


async def test_the_cap_counts_recovery_codes_and_proofs_inside_too(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    authenticator, codes = await set_up(gateway, here)
    for _ in range(TRIES_MAX):
        await here.post("/admin/confirm", data={"password": PASSWORD, "code": "000000"})
    assert (await here.post("/admin/confirm", data={"password": PASSWORD, "code": codes[0]})).status_code == 429
    assert (await give(await half_signed_in(gateway), authenticator.code())).status_code == 429
    assert gateway.sql("SELECT count(*) FROM gateway.recovery_code WHERE used_at IS NOT NULL") == [(0,)]


async def test_a_right_code_begins_the_count_anew(gateway: Gateway, authenticator: Authenticator) -> None:
    client = await half_signed_in(gateway)
    for _ in range(TRIES_MAX - 1):
        await give(client, "000000")
    assert (await give(client, authenticator.code())).status_code == 303
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_tries") == []


async def test_strangers_who_lack_the_password_reach_no_cap(gateway: Gateway, authenticator: Authenticator) -> None:
    stranger = await gateway.client(address="198.51.100.9")
    for _ in range(TRIES_MAX + 2):
        await log_in(stranger, "author", "not the password")
        await give(stranger, "000000")
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_tries") == []
    assert (await give(await half_signed_in(gateway), authenticator.code())).status_code == 303


async def test_a_password_set_by_a_mailed_link_does_not_get_past_the_factor(
    gateway: Gateway, authenticator: Authenticator
) -> None:
    gateway.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    visitor = await gateway.client()
    await visitor.post("/password-reset", data={"email": "ada@example.com"})
    [(text,)] = gateway.sql(
        "SELECT text_body FROM delivery.single_mail WHERE kind = 'password_reset' ORDER BY id DESC LIMIT 1"
    )
    path = "/password-reset/" + text.partition("/password-reset/")[2].split()[0]
    form = {"new_password": NEW_PASSWORD, "new_password_check": NEW_PASSWORD}
    assert (await visitor.post(path, data=form)).headers["location"] == "/login"
    answer = await log_in(visitor, "author", NEW_PASSWORD)
    assert answer.headers["location"] == LOGIN
    assert not await is_signed_in(visitor)
    assert (await give(visitor, authenticator.code())).status_code == 303


async def test_the_users_address_signs_in_as_the_name_does(gateway: Gateway, authenticator: Authenticator) -> None:
    gateway.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    client = await gateway.client()
    assert (await log_in(client, "ada@example.com")).headers["location"] == LOGIN
    assert (await give(client, authenticator.code())).status_code == 303


async def test_keys_are_not_asked_for_a_factor(gateway: Gateway, authenticator: Authenticator) -> None:
    del authenticator
    api = await gateway.api_client("read", "admin")
    assert (await api.get("/api/v1/users")).status_code == 200


async def test_sign_ins_and_wrong_codes_are_in_the_audit_log(gateway: Gateway, authenticator: Authenticator) -> None:
    client = await half_signed_in(gateway)
    before = len(entries(gateway))
    await give(client, "000000")
    await give(client, authenticator.code())
    assert [(action, said) for action, *_, said in entries(gateway)[before:]] == [
        ("user.sign_in_refused", {"method": "password", "reason": "wrong_code"}),
        ("user.signed_in", {"method": "password+totp"}),
    ]


async def test_a_key_that_is_gone_refuses_the_code_and_recovery_codes_go_on(
    make_gateway: MakeGateway, gateway: Gateway
) -> None:
    authenticator, codes = await set_up(gateway, await gateway.signed_in())
    other = await make_gateway(second_factor_keys=Secret("k2:" + "11" * 32))
    client = await half_signed_in(other)
    assert (await give(client, authenticator.code())).status_code == 422
    assert (await give(client, codes[0])).status_code == 303
    assert (await client.get(PAGE)).status_code == 200
