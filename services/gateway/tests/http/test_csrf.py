"""The policy against cross-site requests, as a table."""

import pytest

from broadsheet_gateway.http.csrf import CrossSiteRequestError, CsrfTokenError, check_origin, check_request, csrf_token

ORIGIN = "https://news.example.com"
SESSION = "a-session-id"
TOKEN = csrf_token(SESSION)


def judged(headers: dict[str, str], token: str | None) -> str:
    """`pass`, or the slug of the refusal."""
    try:
        check_request(headers, public_origin=ORIGIN, session_id=SESSION, presented_token=token)
    except (CrossSiteRequestError, CsrfTokenError) as error:
        return error.slug
    return "pass"


@pytest.mark.parametrize(
    ("headers", "token", "outcome"),
    [
        # A current browser, on our own page.
        ({"sec-fetch-site": "same-origin"}, TOKEN, "pass"),
        ({"sec-fetch-site": "none"}, TOKEN, "pass"),
        ({"sec-fetch-site": "same-origin", "origin": ORIGIN}, TOKEN, "pass"),
        # The page is ours whatever name the host was reached under.
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:8081"}, TOKEN, "pass"),
        # The same, without the session's token or with another's.
        ({"sec-fetch-site": "same-origin"}, None, "csrf-token"),
        ({"sec-fetch-site": "same-origin"}, "", "csrf-token"),
        ({"sec-fetch-site": "same-origin"}, csrf_token("another"), "csrf-token"),
        ({"sec-fetch-site": "same-origin"}, "Ünïcode", "csrf-token"),
        # A page of another site, even one that got hold of a token.
        ({"sec-fetch-site": "cross-site"}, TOKEN, "cross-site-request"),
        ({"sec-fetch-site": "same-site"}, TOKEN, "cross-site-request"),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, TOKEN, "cross-site-request"),
        ({"sec-fetch-site": "anything"}, TOKEN, "cross-site-request"),
        # An older browser sends Origin alone.
        ({"origin": ORIGIN}, TOKEN, "pass"),
        ({"origin": ORIGIN}, None, "csrf-token"),
        ({"origin": "https://news.example.com.evil.example"}, TOKEN, "cross-site-request"),
        ({"origin": "http://news.example.com"}, TOKEN, "cross-site-request"),
        ({"origin": "https://news.example.com:444"}, TOKEN, "cross-site-request"),
        ({"origin": "null"}, TOKEN, "cross-site-request"),
        # A program: neither header, and no token asked of it.
        ({}, None, "pass"),
        ({}, TOKEN, "pass"),
        ({"referer": "https://evil.example/"}, None, "pass"),
    ],
)
def test_a_request_with_a_session(headers: dict[str, str], token: str | None, outcome: str) -> None:
    assert judged(headers, token) == outcome


@pytest.mark.parametrize(
    ("headers", "is_browser"), [({"sec-fetch-site": "same-origin"}, True), ({"origin": ORIGIN}, True), ({}, False)]
)
def test_without_a_session_only_the_origin_counts(headers: dict[str, str], is_browser: bool) -> None:
    assert check_origin(headers, public_origin=ORIGIN) is is_browser


def test_the_token_belongs_to_one_session_and_does_not_show_its_id() -> None:
    assert csrf_token("a") != csrf_token("b")
    assert SESSION not in TOKEN
