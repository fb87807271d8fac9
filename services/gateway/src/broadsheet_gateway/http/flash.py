"""Messages shown once after a redirect: codes in a short-lived cookie, so that no text of anybody's making gets in."""

from litestar.datastructures import Cookie

from broadsheet_gateway.http.cookies import CookieJar
from broadsheet_gateway.pages.flashes import FlashCode

LIFETIME_S = 60


def flash_cookie(jar: CookieJar, code: FlashCode) -> Cookie:
    return jar.flash(code.value, lifetime_s=LIFETIME_S)


def read_flash(value: str | None) -> tuple[FlashCode, ...]:
    """The message in the cookie; none for a code that is not ours."""
    try:
        return (FlashCode(value),) if value else ()
    except ValueError:
        return ()
