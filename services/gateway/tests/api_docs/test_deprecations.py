"""Operations that go say so in their answers; the table names operations that exist, with time enough."""

from datetime import UTC, datetime, timedelta
from typing import Any

from broadsheet_gateway.api_docs.deprecations import DEPRECATIONS, Deprecation, DeprecationHeaders
from broadsheet_gateway.forwarding.route_table import ROUTES

OLD = Deprecation(
    since=datetime(2026, 12, 1, tzinfo=UTC),
    gone_after=datetime(2027, 6, 1, tzinfo=UTC),
    link="https://news.example.com/docs#old",
)


async def _headers(method: str, template: str) -> dict[bytes, bytes]:
    message: Any = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]}
    scope: Any = {"type": "http", "method": method, "path_template": template}
    await DeprecationHeaders({"GET /api/v1/issues/{id}": OLD})(message, scope)
    return dict(message["headers"])


async def test_an_answer_of_a_deprecated_operation_says_since_when_and_until_when() -> None:
    for method in ("GET", "HEAD"):
        assert await _headers(method, "/api/v1/issues/{id}") == {
            b"content-type": b"text/csv",
            b"deprecation": b"@1796083200",
            b"sunset": b"Tue, 01 Jun 2027 00:00:00 GMT",
            b"link": b'<https://news.example.com/docs#old>; rel="deprecation"; type="text/html"',
        }


async def test_other_operations_say_nothing() -> None:
    assert b"deprecation" not in await _headers("PATCH", "/api/v1/issues/{id}")
    assert b"sunset" not in await _headers("GET", "/api/v1/issues")


def test_what_is_deprecated_exists_and_stays_half_a_year() -> None:
    known = {f"{method} {template}" for template, _, methods in ROUTES for method in methods}
    assert set(DEPRECATIONS) - known == set()
    for deprecation in DEPRECATIONS.values():
        assert deprecation.gone_after - deprecation.since >= timedelta(days=180)
