"""A session ends while a request of it is under way, whose body takes its time: what came too late changes nothing."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import pytest

from ..conftest import PASSWORD, Gateway, csrf_token_of
from ..second_factor.conftest import FORM, PAGE, SET_UP, Authenticator, is_signed_in, set_up

NEW = "quite another passphrase"
ENDED = [
    "UPDATE gateway.user_account SET sessions_end_before = clock_timestamp()",
    "UPDATE gateway.user_account SET password_changed_at = clock_timestamp()",
    "UPDATE gateway.user_account SET deactivated_at = clock_timestamp()",
]
TABLES = (
    "user_account",
    "second_factor",
    "second_factor_setup",
    "recovery_code",
    "email_change",
    "passkey",
    "api_key",
    "invitation",
)


def kept(gateway: Gateway) -> list[object]:
    return [gateway.sql(f"SELECT t::text FROM gateway.{table} AS t ORDER BY 1") for table in TABLES]


async def send_late(
    gateway: Gateway, client: httpx.AsyncClient, path: str, body: bytes, ended: str, **headers: str
) -> tuple[httpx.Response, bool]:
    """The answer, and whether everything is as it was when the session had ended."""
    before: list[object] = []

    async def pieces() -> AsyncIterator[bytes]:
        gateway.sql(ended)
        before.extend(kept(gateway))
        yield body

    answer = await client.post(
        path, content=pieces(), headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return answer, kept(gateway) == before


async def waiting_set_up(gateway: Gateway, client: httpx.AsyncClient) -> str:
    """A right code."""
    await client.post(f"{PAGE}/begin", data=FORM)
    secret = (await client.get(SET_UP)).text.partition("<code>")[2].partition("</code>")[0]
    return Authenticator(gateway, secret.replace(" ", "")).code()


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize(
    "what", ["end-others", "password", "confirm", "set-up", "begin", "recovery-codes", "remove", "email"]
)
async def test_a_form_that_arrives_after_the_end_does_nothing(gateway: Gateway, what: str, ended: str) -> None:
    client = await gateway.signed_in()
    form = dict(FORM)
    path = f"{PAGE}/{what}"
    match what:
        case "end-others":
            path = "/admin/account/sessions/end-others"
        case "password":
            path = "/admin/password"
            form |= {"current_password": PASSWORD, "new_password": NEW, "new_password_check": NEW}
        case "confirm":
            path, form["password"] = "/admin/confirm", PASSWORD
        case "email":
            path, form["email"] = "/admin/account/email", "thief@example.com"
        case "set-up":
            form["code"] = await waiting_set_up(gateway, client)
        case "recovery-codes" | "remove":
            await set_up(gateway, client)
        case _:
            pass
    answer, is_unchanged = await send_late(
        gateway, client, path, urlencode(form).encode(), ended, content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.headers.get("location")) == (303, "/login")
    assert is_unchanged
    assert not await is_signed_in(client)


@pytest.mark.parametrize("ended", ENDED)
async def test_a_key_that_is_asked_for_after_the_end_is_not_made(gateway: Gateway, ended: str) -> None:
    client = await gateway.signed_in()
    answer, is_unchanged = await send_late(
        gateway,
        client,
        "/api/v1/api-keys",
        b'{"name": "late", "scopes": ["all"]}',
        ended,
        content_type="application/json",
        sec_fetch_site="same-origin",
        x_csrf_token=await csrf_token_of(client),
    )
    assert (answer.status_code, is_unchanged) == (401, True)


async def test_what_arrives_after_a_role_was_taken_away_does_nothing(gateway: Gateway) -> None:
    """An owner who is one no more invites no other self."""
    client = await gateway.signed_in()
    demoted = "UPDATE gateway.user_role SET role = 'editor'"
    form = FORM | {"email": "thief@example.com", "name": "", "role_1": "analyst", "newsletter_1": ""}
    answer, is_unchanged = await send_late(
        gateway,
        client,
        "/admin/users/invitations",
        urlencode(form).encode(),
        demoted,
        content_type="application/x-www-form-urlencoded",
    )
    assert (answer.status_code, is_unchanged) == (403, True)
    gateway.sql("UPDATE gateway.user_role SET role = 'owner'")
    token = await csrf_token_of(client)
    answer, is_unchanged = await send_late(
        gateway,
        client,
        "/api/v1/users/invitations",
        b'{"email": "thief@example.com", "roles": [{"role": "owner"}]}',
        demoted,
        content_type="application/json",
        sec_fetch_site="same-origin",
        x_csrf_token=token,
    )
    assert (answer.status_code, is_unchanged) == (401, True)


async def test_a_session_that_was_ended_by_itself_does_not_come_back(gateway: Gateway) -> None:
    """Of one's own sessions one is ended: the database is not told of it."""
    lost, here = await gateway.signed_in(), await gateway.signed_in()
    page = (await here.get("/admin/account/sessions")).text
    handle = page.partition('name="session" value="')[2][:64]

    async def pieces() -> AsyncIterator[bytes]:
        assert (await here.post("/admin/account/sessions/end", data={"session": handle})).status_code == 303
        yield urlencode(FORM).encode()

    answer = await lost.post(
        "/admin/account/sessions/end-others",
        content=pieces(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.headers["location"] == "/login"
    assert not await is_signed_in(lost)
