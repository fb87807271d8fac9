"""A user with an authenticator of their own: codes at any step, by the database's clock."""

import re

import httpx
import pyotp

from ..conftest import PASSWORD, Gateway, log_in

PAGE = "/admin/account/second-factor"
SET_UP = f"{PAGE}/set-up"
LOGIN = "/login/second-factor"
FORM = {"csrf_token": ""}
"""What a form without fields sends: no browser sends an empty one."""
_SECRET = re.compile(r"<code>([A-Z2-7 ]{39})</code>")
_CODE = re.compile(r"<code>([0-9a-z-]{29})</code>")


class Authenticator:
    """What an app on a phone knows. The next code it gives is always later than the ones it gave."""

    def __init__(self, gateway: Gateway, secret: str) -> None:
        self._gateway = gateway
        self._totp = pyotp.TOTP(secret)
        self.secret = secret

    def code(self, *, steps: int = 0) -> str:
        """Of so many steps from now. Near a step's end it waits for the next one, so that a test knows the step."""
        now_s = float(self._gateway.sql("SELECT extract(epoch FROM clock_timestamp())")[0][0])
        left_s = 30 - now_s % 30
        if left_s < 3:
            self._gateway.sql("SELECT pg_sleep(%s)", left_s)
            now_s += left_s + 0.01
        return self._totp.generate_otp(int(now_s // 30) + steps)

    def forget_use(self) -> None:
        """As if the codes that were used had been used long ago: tests do not wait half a minute for the next."""
        self._gateway.sql("UPDATE gateway.second_factor SET last_step = 0")


async def set_up(gateway: Gateway, client: httpx.AsyncClient) -> tuple[Authenticator, list[str]]:
    """A second factor for the client's user, with its recovery codes. The client stays signed in."""
    begun = await client.post(f"{PAGE}/begin", data=FORM)
    assert (begun.status_code, begun.headers["location"]) == (303, SET_UP)
    found = _SECRET.search((await client.get(SET_UP)).text)
    assert found is not None
    authenticator = Authenticator(gateway, found[1].replace(" ", ""))
    done = await client.post(SET_UP, data={"code": authenticator.code(), **FORM})
    assert done.status_code == 200, done.text
    codes = _CODE.findall(done.text)
    authenticator.forget_use()
    return authenticator, codes


def recovery_codes_in(page: str) -> list[str]:
    return _CODE.findall(page)


async def half_signed_in(gateway: Gateway, username: str = "author", **headers: str) -> httpx.AsyncClient:
    """A browser that has given the right password of a user with a second factor."""
    client = await gateway.client(**headers)
    answer = await log_in(client, username, PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, LOGIN)
    return client


async def give(client: httpx.AsyncClient, code: str) -> httpx.Response:
    return await client.post(LOGIN, data={"code": code})


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/admin/password")).status_code == 200
