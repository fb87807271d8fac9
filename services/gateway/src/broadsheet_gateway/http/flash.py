"""Messages shown once after a redirect: codes in a short-lived cookie, so that nobody can inject text."""

from litestar.datastructures import Cookie

from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.pages.flashes import FlashCode

LIFETIME_S = 60


def flash_cookie(jar: CookieJar, code: FlashCode) -> Cookie:
    return jar.flash(code.value, lifetime_s=LIFETIME_S)


def read_flash(value: str | None) -> tuple[FlashCode, ...]:
    """The message in the cookie; none for an unknown code."""
    try:
        return (FlashCode(value),) if value else ()
    except ValueError:
        return ()
