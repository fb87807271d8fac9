"""Passkeys, shown by a software authenticator: registering, signing in, a fresh proof, removing."""

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_gateway.passkeys.ceremony import (
    PasskeyRefusedError,
    RelyingParty,
    read_assertion,
    verify_registration,
)
from broadsheet_gateway.passkeys.challenges import KEY_PREFIX
from broadsheet_gateway.passkeys.register import PASSKEYS_MAX
from harness.waiting import eventually

from ..accounts.test_audited_sign_ins import entries
from ..conftest import Gateway, MakeGateway, log_in
from ..second_factor.conftest import FORM, give, half_signed_in, is_signed_in, set_up
from .authenticator import PRESENT, SoftAuthenticator, encode

ORIGIN, HOST = "https://news.example.com", "news.example.com"
PAGE = "/admin/account/passkeys"
HTML = {"accept": "text/html"}


@pytest.fixture(name="gateway")
async def a_gateway(make_gateway: MakeGateway) -> Gateway:
    """With a host name, which passkeys belong to."""
    return await make_gateway(public_url=ORIGIN)


@pytest.fixture
def device() -> SoftAuthenticator:
    return SoftAuthenticator(origin=ORIGIN, rp_id=HOST)


async def register(
    client: httpx.AsyncClient, device: SoftAuthenticator, name: str = "Phone", **wrong: Any
) -> httpx.Response:
    options = await client.post(f"{PAGE}/options", data=FORM)
    assert options.status_code == 200, options.text
    return await client.post(PAGE, data={"name": name, "credential": device.create(options.json(), **wrong)})


async def sign_in(client: httpx.AsyncClient, device: SoftAuthenticator, **wrong: Any) -> httpx.Response:
    options = (await client.post("/login/passkey/options", data=FORM)).json()
    return await client.post("/login/passkey", data={"credential": device.get(options, **wrong)})


async def confirm(client: httpx.AsyncClient, device: SoftAuthenticator, **wrong: Any) -> httpx.Response:
    options = (await client.post("/admin/confirm/passkey/options", data=FORM)).json()
    form = {"credential": device.get(options, **wrong), "next": PAGE}
    return await client.post("/admin/confirm/passkey", data=form)


def refusals(gateway: Gateway) -> list[tuple[str | None, str]]:
    return [
        (target, said["reason"]) for action, *_, target, said in entries(gateway) if action == "user.sign_in_refused"
    ]


async def test_a_passkey_signs_in_without_a_name_and_counts_as_both_factors(
    gateway: Gateway, device: SoftAuthenticator
) -> None:
    here = await gateway.signed_in()
    answer = await register(here, device)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    page = (await here.get(PAGE)).text
    assert "Your passkey is added" in page
    assert "Phone" in page
    assert "not used yet" in page
    await set_up(gateway, here)
    visitor = await gateway.client()
    answer = await sign_in(visitor, device)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/dashboard")
    assert await is_signed_in(visitor)
    assert "last used" in (await visitor.get(PAGE)).text
    assert entries(gateway)[-1][0::4] == ("user.signed_in", {"method": "passkey"})


async def test_another_user_stays_another(gateway: Gateway, device: SoftAuthenticator) -> None:
    first, second = await gateway.signed_in(), await gateway.signed_in("second")
    await register(first, device)
    await register(second, device)
    assert device.held[0].user_handle != device.held[1].user_handle
    for which, name in ((0, "author"), (1, "second")):
        visitor = await gateway.client()
        await sign_in(visitor, device, which=which)
        assert f"<strong>{name}</strong>" in (await visitor.get("/admin/password")).text
    visitor = await gateway.client()
    swapped = await sign_in(visitor, device, which=0, user_handle=device.held[1].user_handle)
    assert swapped.headers["location"] == "/login"


WRONG: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://evil.example.com"},
    "plain http": {"origin": "http://news.example.com"},
    "another host": {"rp_id": "evil.example.com"},
    "user not verified": {"flags": PRESENT},
    "user not there": {"flags": 0},
    "another key": {"key": generate_private_key(SECP256R1())},
    "another ceremony": {"kind": "webauthn.create"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_does_not_hold_opens_nothing_and_is_audited(
    gateway: Gateway, device: SoftAuthenticator, wrong: dict[str, Any]
) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    visitor = await gateway.client()
    answer = await sign_in(visitor, device, **wrong)
    assert answer.headers["location"] == "/login"
    assert "That passkey was not taken" in (await visitor.get("/login")).text
    assert not await is_signed_in(visitor)
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account")
    assert refusals(gateway) == [(str(user_id), "not_verified")]


@pytest.mark.parametrize(
    "wrong", [WRONG["another site"], WRONG["user not verified"], {"kind": "webauthn.get"}], ids=["site", "user", "kind"]
)
async def test_what_does_not_hold_is_not_registered(
    gateway: Gateway, device: SoftAuthenticator, wrong: dict[str, Any]
) -> None:
    here = await gateway.signed_in()
    await register(here, device, **wrong)
    assert "That passkey was not taken" in (await here.get(PAGE)).text
    assert gateway.sql("SELECT 1 FROM gateway.passkey") == []


async def test_a_challenge_is_good_once_and_for_its_browser(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    visitor, other = await gateway.client(), await gateway.client()
    options = (await visitor.post("/login/passkey/options")).json()
    shown = device.get(options)
    assert (await other.post("/login/passkey", data={"credential": shown})).headers["location"] == "/login"
    await other.post("/login/passkey/options")
    assert (await other.post("/login/passkey", data={"credential": shown})).headers["location"] == "/login"
    secret = visitor.cookies["__Host-broadsheet_passkey"]
    twice = await asyncio.gather(*(visitor.post("/login/passkey", data={"credential": shown}) for _ in range(2)))
    assert sorted(answer.headers["location"] for answer in twice) == ["/admin/dashboard", "/login"]
    late = await gateway.client()
    late.cookies.set("__Host-broadsheet_passkey", secret)
    assert (await late.post("/login/passkey", data={"credential": device.get(options)})).headers["location"] == "/login"


async def test_a_challenge_is_over_after_five_minutes(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    visitor = await gateway.client()
    options = (await visitor.post("/login/passkey/options")).json()
    [key] = [key async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}sign-in:*")]
    assert 290 < await gateway.redis.ttl(key) <= 300
    assert visitor.cookies["__Host-broadsheet_passkey"].encode() not in key
    await gateway.redis.delete(key)  # as when its time is over
    answer = await visitor.post("/login/passkey", data={"credential": device.get(options)})
    assert answer.headers["location"] == "/login"
    assert [reason for _, reason in refusals(gateway)] == ["challenge_over"]


async def test_a_counter_that_goes_back_is_refused_and_audited(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    assert (await sign_in(await gateway.client(), device, count=5)).headers["location"] == "/admin/dashboard"
    for count in (5, 4, 0):
        visitor = await gateway.client()
        assert (await sign_in(visitor, device, count=count)).headers["location"] == "/login"
        assert not await is_signed_in(visitor)
    assert [reason for _, reason in refusals(gateway)] == ["counter_went_back"] * 3
    assert (await sign_in(await gateway.client(), device, count=6)).headers["location"] == "/admin/dashboard"


async def test_a_passkey_that_does_not_count_works_again_and_again(gateway: Gateway) -> None:
    device = SoftAuthenticator(origin=ORIGIN, rp_id=HOST, counts=False)
    await register(await gateway.signed_in(), device)
    for _ in range(3):
        assert (await sign_in(await gateway.client(), device)).headers["location"] == "/admin/dashboard"


async def test_a_removed_passkey_never_works_and_other_sessions_end(
    gateway: Gateway, device: SoftAuthenticator
) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    by_passkey = await gateway.client()
    await sign_in(by_passkey, device)
    [(passkey_id,)] = gateway.sql("SELECT id FROM gateway.passkey")
    waiting = await gateway.client()
    options = (await waiting.post("/login/passkey/options")).json()
    assert (await here.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})).headers["location"] == PAGE
    assert "The passkey is removed" in (await here.get(PAGE)).text
    assert not await is_signed_in(by_passkey)
    late = await waiting.post("/login/passkey", data={"credential": device.get(options)})
    assert late.headers["location"] == "/login"
    assert refusals(gateway) == [(None, "unknown_passkey")]
    for gone in (str(passkey_id), "0", "nonsense", "9" * 18):
        await here.post(f"{PAGE}/remove", data={"passkey": gone})
        assert "not there any more" in (await here.get(PAGE)).text


async def test_nobody_removes_the_passkey_of_somebody_else(gateway: Gateway, device: SoftAuthenticator) -> None:
    await register(await gateway.signed_in(), device)
    [(passkey_id,)] = gateway.sql("SELECT id FROM gateway.passkey")
    other = await gateway.signed_in("other")
    await other.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})
    assert gateway.sql("SELECT id FROM gateway.passkey") == [(passkey_id,)]


async def test_a_user_has_twenty_at_most(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    options = (await here.post(f"{PAGE}/options", data=FORM)).json()
    gateway.sql(
        "INSERT INTO gateway.passkey (user_id, credential_id, public_key, user_handle, sign_count, name) "
        "SELECT user_id, int4send(n::int), public_key, user_handle, 0, 'x' FROM gateway.passkey, "
        "generate_series(2, %s) AS n",
        PASSKEYS_MAX,
    )
    form = {"name": "one more", "credential": device.create(options)}
    assert (await here.post(PAGE, data=form)).headers["location"] == PAGE
    assert "You have 20 passkeys" in (await here.get(PAGE)).text
    assert (await here.post(f"{PAGE}/options", data=FORM)).status_code == 409
    assert gateway.sql("SELECT count(*) FROM gateway.passkey") == [(PASSKEYS_MAX,)]


@pytest.mark.parametrize(
    ("name", "says"), [("", "Give it a name"), ("x" * 101, "at most 100"), ("a\u200bb", "cannot be shown")]
)
async def test_a_name_at_fault_is_told_at_the_field(
    gateway: Gateway, device: SoftAuthenticator, name: str, says: str
) -> None:
    here = await gateway.signed_in()
    answer = await register(here, device, name)
    assert answer.status_code == 422
    assert says in answer.text


async def test_registering_and_removing_need_a_fresh_proof(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url=ORIGIN, recent_authentication_s=1)
    here = await gateway.signed_in()
    gateway.sql("SELECT pg_sleep(1.2)")
    assert (await here.get(PAGE, headers=HTML)).headers["location"].startswith("/admin/confirm")
    assert (await here.post(f"{PAGE}/options", data=FORM)).status_code == 403
    for path, form in ((PAGE, {"name": "x", "credential": "{}"}), (f"{PAGE}/remove", {"passkey": "1"})):
        assert (await here.post(path, data=form)).headers["location"] == f"/admin/confirm?next={PAGE}"


async def test_a_passkey_is_a_fresh_proof_with_both_factors(
    make_gateway: MakeGateway, device: SoftAuthenticator
) -> None:
    gateway = await make_gateway(public_url=ORIGIN, recent_authentication_s=4)
    here = await gateway.signed_in()
    await register(here, device)
    gateway.sql("SELECT pg_sleep(4.2)")
    assert 'action="/admin/confirm/passkey"' in (await here.get("/admin/confirm")).text
    before = dict(here.cookies)
    answer = await confirm(here, device)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    assert dict(here.cookies) != before
    assert (await here.get(PAGE)).status_code == 200


async def test_the_passkey_of_somebody_else_proves_nothing(gateway: Gateway, device: SoftAuthenticator) -> None:
    await register(await gateway.signed_in(), device)
    other = await gateway.signed_in("other")
    answer = await confirm(other, device)
    assert answer.headers["location"] == f"/admin/confirm?next={PAGE}"


async def test_a_challenge_for_one_purpose_is_none_for_another(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    options = (await here.post("/admin/confirm/passkey/options", data=FORM)).json()
    visitor = await gateway.client()
    await visitor.post("/login/passkey/options")
    answer = await visitor.post("/login/passkey", data={"credential": device.get(options)})
    assert answer.headers["location"] == "/login"


async def test_a_deactivated_user_does_not_come_in(gateway: Gateway, device: SoftAuthenticator) -> None:
    await register(await gateway.signed_in(), device)
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    assert (await sign_in(await gateway.client(), device)).headers["location"] == "/login"


async def test_where_a_factor_is_required_a_passkey_is_enough_and_the_password_alone_is_not(
    gateway: Gateway, device: SoftAuthenticator
) -> None:
    here = await gateway.signed_in()
    gateway.sql("INSERT INTO gateway.second_factor_requirement (newsletter_id) VALUES (NULL)")
    try:
        assert not await is_signed_in(here)
        await register(here, device)
        assert await is_signed_in(here)
        thief = await gateway.client()
        await log_in(thief)
        assert not await is_signed_in(thief)
        # The password alone adds no factor beside the passkey, and takes none away.
        await thief.post("/admin/account/second-factor/begin", data=FORM)
        assert gateway.sql("SELECT 1 FROM gateway.second_factor_setup") == []
        assert (await thief.post(f"{PAGE}/options", data=FORM)).status_code == 403
        [(passkey_id,)] = gateway.sql("SELECT id FROM gateway.passkey")
        await thief.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})
        assert gateway.sql("SELECT id FROM gateway.passkey") == [(passkey_id,)]
        await confirm(thief, device)
        assert await is_signed_in(thief)
    finally:
        gateway.sql("DELETE FROM gateway.second_factor_requirement")


async def test_with_a_passkey_and_an_authenticator_the_password_still_asks_for_a_code(
    gateway: Gateway, device: SoftAuthenticator
) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    authenticator, _ = await set_up(gateway, here)
    client = await half_signed_in(gateway)
    assert (await give(client, authenticator.code())).headers["location"] == "/admin/dashboard"


async def test_the_last_way_in_is_not_removed(gateway: Gateway, device: SoftAuthenticator) -> None:
    here = await gateway.signed_in()
    await register(here, device)
    gateway.sql("UPDATE gateway.user_account SET password_hash = NULL")
    [(passkey_id,)] = gateway.sql("SELECT id FROM gateway.passkey")
    await here.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})
    assert "your only way in" in (await here.get(PAGE)).text
    assert 'name="password"' not in (await here.get("/admin/confirm")).text
    gateway.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    await here.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})
    assert gateway.sql("SELECT id FROM gateway.passkey") == []


async def test_an_owner_takes_lost_passkeys_away(gateway: Gateway, device: SoftAuthenticator) -> None:
    owner, lost = await gateway.signed_in(), await gateway.signed_in("lost")
    await register(lost, device)
    users = {one["username"]: one for one in (await owner.get("/api/v1/users")).json()["items"]}
    assert [users[name]["has_second_factor"] for name in ("author", "lost")] == [False, True]
    assert (await owner.post(f"/api/v1/users/{users['lost']['id']}/remove-second-factor")).status_code == 204
    assert gateway.sql("SELECT 1 FROM gateway.passkey") == []
    assert not await is_signed_in(lost)
    assert "user.passkey_removed" in [action for action, *_ in entries(gateway)]


async def test_adding_and_removing_are_audited_and_told_by_mail(gateway: Gateway, device: SoftAuthenticator) -> None:
    await gateway.add_user()
    gateway.sql("DELETE FROM delivery.single_mail")
    gateway.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    here = await gateway.signed_in()
    await register(here, device, "A name of hers")
    [(passkey_id,)] = gateway.sql("SELECT id FROM gateway.passkey")
    await here.post(f"{PAGE}/remove", data={"passkey": str(passkey_id)})
    said = [(action, after) for action, *_, after in entries(gateway) if "passkey" in action]
    assert said == [("user.passkey_added", {"passkey_id": passkey_id}), ("user.passkey_removed", None)]
    assert gateway.sql("SELECT subject FROM delivery.single_mail ORDER BY id") == [
        ("A passkey was added",), ("A passkey was removed",),
    ]  # fmt: skip
    assert "A name of hers" not in str(entries(gateway))


async def test_another_site_starts_no_ceremony(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    elsewhere = {"sec-fetch-site": "cross-site"}
    for path in (
        f"{PAGE}/options", PAGE, f"{PAGE}/remove", "/admin/confirm/passkey", "/admin/confirm/passkey/options",
        "/login/passkey", "/login/passkey/options",
    ):  # fmt: skip
        assert (await here.post(path, data=FORM, headers=elsewhere)).status_code == 403, path


async def test_sign_ins_by_passkey_are_limited_by_source(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url=ORIGIN, login_limit_per_ip="3/3600")
    visitor = await gateway.client()
    statuses = [(await visitor.post("/login/passkey", data={"credential": "{}"})).status_code for _ in range(4)]
    assert statuses == [303, 303, 303, 429]


async def test_without_a_host_name_no_page_offers_passkeys(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(public_url="http://127.0.0.1:8081")
    here = await gateway.signed_in()
    assert "Passkeys belong to a host name" in (await here.get(PAGE)).text
    assert "passkey" not in (await (await gateway.client()).get("/login")).text
    named = await make_gateway(public_url="http://localhost:8081")
    assert 'action="/login/passkey"' in (await (await named.client()).get("/login")).text


PARTY = RelyingParty(id=HOST, origin=ORIGIN)


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", "x" * 30_000, '{"id":"a"}', "\ud800"])
def test_what_is_no_credential_is_refused(text: str) -> None:
    with pytest.raises(PasskeyRefusedError):
        read_assertion(text)
    with pytest.raises(PasskeyRefusedError):
        verify_registration(PARTY, text, challenge=b"x" * 32)


_PART = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", max_size=60)


@given(st.fixed_dictionaries({"id": _PART, "client": _PART, "object": _PART}))
def test_no_bytes_in_a_credential_are_a_fault_of_ours(parts: dict[str, str]) -> None:
    response = {"clientDataJSON": parts["client"], "attestationObject": parts["object"]}
    body = {"id": parts["id"], "rawId": parts["id"], "type": "public-key", "response": response}
    with pytest.raises(PasskeyRefusedError):
        verify_registration(PARTY, json.dumps(body), challenge=b"x" * 32)


@given(st.binary(max_size=200))
def test_no_attestation_is_a_fault_of_ours(data: bytes) -> None:
    client = json.dumps({"type": "webauthn.create", "challenge": encode(b"x" * 32), "origin": ORIGIN}).encode()
    response = {"clientDataJSON": encode(client), "attestationObject": encode(data)}
    body = {"id": "YWJj", "rawId": "YWJj", "type": "public-key", "response": response}
    with pytest.raises(PasskeyRefusedError):
        verify_registration(PARTY, json.dumps(body), challenge=b"x" * 32)


async def test_of_two_last_passkeys_that_are_removed_at_once_one_stays(gateway: Gateway) -> None:
    """Who has no password and no address would be locked out."""
    here = await gateway.signed_in()
    gateway.sql(
        "INSERT INTO gateway.passkey (user_id, credential_id, public_key, user_handle, sign_count, name)"
        " SELECT id, decode(repeat(key, 32), 'hex'), 'key', decode(repeat('00', 64), 'hex'), 0, key"
        " FROM gateway.user_account, unnest(ARRAY['01', '02']) AS key"
    )
    gateway.sql("UPDATE gateway.user_account SET password_hash = NULL, email = NULL, email_key = NULL")
    ids = [number for (number,) in gateway.sql("SELECT id FROM gateway.passkey")]
    forms = [{"passkey": str(number)} for number in ids]
    with psycopg.connect(gateway.owner_url) as held:
        held.execute("SELECT FROM gateway.passkey FOR UPDATE")
        answers = [asyncio.create_task(here.post(f"{PAGE}/remove", data=form)) for form in forms]

        def both_wait() -> bool:
            waiting = gateway.sql(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return len(waiting) == len(forms)

        await eventually(both_wait, what="both removals are under way")
    await asyncio.gather(*answers)
    assert gateway.sql("SELECT count(*) FROM gateway.passkey") == [(1,)]
