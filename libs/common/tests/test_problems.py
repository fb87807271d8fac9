"""Problem types: stable, whatever the version of Python or Litestar calls a status."""

import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient

from broadsheet_common.http.problems import problem_handlers

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


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: Inner
    several: list[Inner] = []
    by_name: dict[str, list[int]] = {}


@post("/")
async def take(data: JSONBody[Outer]) -> None:
    del data


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"inner": {"size": 1}}, "/name"),
        ({"name": "x", "inner": {"size": 1}, "a/b~c": 1}, "/a~1b~0c"),
        ({"name": 1, "inner": {"size": 1}}, "/name"),
        ({"name": "x", "inner": {}}, "/inner/size"),
        ({"name": "x", "inner": {"size": "many"}}, "/inner/size"),
        ({"name": "x", "inner": {"size": 1, "colour": 2}}, "/inner/colour"),
        ({"name": "x", "inner": {"size": 1}, "several": [{"size": 1}, 7]}, "/several/1"),
        ({"name": "x", "inner": {"size": 1}, "several": [{"size": 1}, {"size": "many"}]}, "/several/1/size"),
        ({"name": "x", "inner": {"size": 1}, "several": [{}]}, "/several/0/size"),
        ({"name": "x", "inner": {"size": 1}, "by_name": {"a": [1, "x"]}}, "/by_name"),
        ([], ""),
        (7, ""),
    ],
)
def test_a_fault_in_a_body_is_pointed_at_where_it_is(body: object, pointer: str) -> None:
    with TestClient(Litestar([take], exception_handlers=problem_handlers(), openapi_config=None)) as client:
        response = client.post("/", json=body)
    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
