"""Cross-site request forgery: who may change state with a session cookie.

The cookie is SameSite=Lax, so a browser sends it with no cross-site POST. Besides, for every unsafe method:

1. Where `Sec-Fetch-Site` is there (every current browser), it must be `same-origin` or `none`.
2. Else, where `Origin` is there, it must be that of PUBLIC_URL.
3. A request with either header comes from a browser, and must carry the token of its session too: the form field
   `csrf_token`, or the header `X-CSRF-Token` on the API.
4. A request with neither comes from a program that holds the cookie on purpose. No page can make a browser leave both
   out, so nothing is gained by asking it for a token; scripts written for the original's forms keep working.

The login form has no session yet: rules 1 and 2 alone, so that no site can log a visitor in under its own account.
Public sign-up and the links in mail carry no ambient authority and are not checked.
"""

import hashlib
import hmac
from collections.abc import Mapping

from broadsheet_common.http.problems import ProblemError

FORM_FIELD = "csrf_token"
HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class CrossSiteRequestError(ProblemError):
    slug, title, status = "cross-site-request", "This request came from another site", 403


class CsrfTokenError(ProblemError):
    slug, title, status = "csrf-token", "The form is out of date", 403


def csrf_token(session_id: str) -> str:
    """The session's CSRF token: derived from the session id, so that nothing is stored, and the id cannot be
    computed from it.
    """
    return hmac.new(session_id.encode(), b"broadsheet csrf token", hashlib.sha256).hexdigest()


def check_origin(headers: Mapping[str, str], *, public_origin: str) -> bool:
    """Rules 1 and 2. Returns whether the request came from a browser.

    Raises:
        CrossSiteRequestError: another site's page sent it.
    """
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        if fetch_site not in {"same-origin", "none"}:
            raise CrossSiteRequestError
        return True
    origin = headers.get("origin")
    if origin is not None:
        if origin != public_origin:
            raise CrossSiteRequestError
        return True
    return False


def check_request(
    headers: Mapping[str, str], *, public_origin: str, session_id: str, presented_token: str | None
) -> None:
    """All four rules, for a request with a session.

    Raises:
        CrossSiteRequestError: another site's page sent it.
        CsrfTokenError: it came from a browser without the session's token.
    """
    if not check_origin(headers, public_origin=public_origin):
        return
    if presented_token is None or not hmac.compare_digest(presented_token.encode(), csrf_token(session_id).encode()):
        raise CsrfTokenError("Load the page again and send the form once more.")
