"""There is one way from a proof to a session, and nobody with a second factor comes in by it without that."""

import ast
from pathlib import Path

import pytest
from redis.asyncio import Redis

import broadsheet_gateway
from broadsheet_gateway.accounts.interface import UserAccount, find_user_by_name
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.limits.limiter import Limiter
from broadsheet_gateway.sign_in.admission import Admission, Method, NotAdmitted, SecondFactorNeeded, SignedIn, Visit
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIns

from ..conftest import Gateway, log_in

SOURCE = Path(broadsheet_gateway.__file__).parent
MAY_START = {
    "sign_in/admission.py": "a sign-in, when everything that is needed has been proved",
    "sign_in/finish_sign_in.py": "the second half of one, by Admission",
    "sign_in/continue_session.py": "a session that goes on under a new id, with what it had proved",
    "webhooks/store_webhooks.py": "starts loops, no sessions",
}
VISIT = Visit(source="192.0.2.1", browser="curl", address="192.0.2.1", earlier_session_id=None)
SOME_FACTOR = "INSERT INTO gateway.second_factor (user_id, sealed_secret, last_step) SELECT id, 'x', 0 FROM {}"


def calls_of_start(source: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "start" for node in ast.walk(ast.parse(source)))


def test_no_other_module_starts_sessions() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if calls_of_start(path.read_text(encoding="utf-8"))
    }
    assert found == set(MAY_START)


def test_no_other_module_makes_the_data_of_a_session() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="session_data" | "SessionData")):
                    found.add(path.relative_to(SOURCE).as_posix())
                case _:
                    pass
    assert found == {"accounts/current_session.py", "sign_in/admission.py", "sign_in/continue_session.py"}


@pytest.fixture
def sessions(limited_redis: Redis) -> Sessions:
    return Sessions(limited_redis, lifetime_s=1000, idle_s=1000)


@pytest.fixture
def admission(gateway: Gateway, limited_redis: Redis, sessions: Sessions) -> Admission:
    notes = SignInNotes(gateway.engine, Limiter(None))
    return Admission(sessions=sessions, half_sign_ins=HalfSignIns(limited_redis), notes=notes)


async def author(gateway: Gateway) -> UserAccount:
    async with gateway.engine.connect() as connection:
        user = await find_user_by_name(connection, "author")
    assert user is not None
    return user


@pytest.mark.parametrize("method", ["password", "invitation", "oidc"])
async def test_with_a_second_factor_one_proof_gives_no_session(
    gateway: Gateway, admission: Admission, sessions: Sessions, method: Method
) -> None:
    await gateway.add_user()
    admitted = await admission.admit(await author(gateway), method=method, visit=VISIT)
    assert isinstance(admitted, SignedIn)
    gateway.sql(SOME_FACTOR.format("gateway.user_account"))
    user = await author(gateway)
    before = await sessions.list_of(user.id)
    assert isinstance(await admission.admit(user, method=method, visit=VISIT), SecondFactorNeeded)
    assert await sessions.list_of(user.id) == before


async def test_what_proves_both_factors_gives_a_session_that_has_both(
    gateway: Gateway, admission: Admission, sessions: Sessions
) -> None:
    await gateway.add_user()
    gateway.sql(SOME_FACTOR.format("gateway.user_account"))
    admitted = await admission.admit(await author(gateway), method="passkey", visit=VISIT)
    assert isinstance(admitted, SignedIn)
    data = await sessions.find(admitted.session_id)
    assert data is not None
    assert data.is_two_factor


async def test_a_deactivated_user_is_not_admitted_whatever_the_proof(gateway: Gateway, admission: Admission) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    for method in ("password", "passkey", "invitation", "oidc"):
        assert isinstance(await admission.admit(await author(gateway), method=method, visit=VISIT), NotAdmitted)


async def test_a_session_that_lacks_the_users_second_factor_is_over(gateway: Gateway) -> None:
    """Also one that some way in had started by mistake."""
    client = await gateway.signed_in()
    gateway.sql(SOME_FACTOR.format("gateway.user_account"))
    assert (await client.get("/admin/password")).headers["location"] == "/login"


async def test_the_right_password_of_a_user_with_a_second_factor_opens_nothing_yet(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql(SOME_FACTOR.format("gateway.user_account"))
    client = await gateway.client()
    answer = await log_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/second-factor")
    assert set(client.cookies) == {"broadsheet_half_sign_in"}
    assert (await client.get("/admin/dashboard")).headers["location"] == "/login"
    assert (await client.get("/api/v1/users")).status_code == 401
