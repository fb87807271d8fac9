"""Problem types: stable, whatever the version of Python or Litestar calls a status."""

import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.testing import TestClient

from broadsheet_common.problems import problem_handlers

TYPES = {
    400: "malformed-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    409: "conflict",
    413: "request-entity-too-large",
    415: "unsupported-media-type",
    418: "http-418",
    422: "invalid-input",
    429: "too-many-requests",
    503: "unavailable",
}


@get("/{status:int}")
async def fail(status: FromPath[int]) -> None:
    raise HTTPException("a detail that may repeat the query", status_code=status)


@pytest.mark.parametrize(("status", "slug"), TYPES.items())
def test_a_status_has_one_problem_type(status: int, slug: str) -> None:
    with TestClient(Litestar([fail], exception_handlers=problem_handlers(), openapi_config=None)) as client:
        response = client.get(f"/{status}?secret=1")
    assert response.status_code == status
    assert response.json()["type"] == f"urn:broadsheet:problem:{slug}"
    assert response.json()["title"]
    assert "secret" not in response.text
    assert "repeat" not in response.text
