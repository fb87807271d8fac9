"""Problem types: stable, whatever the version of Python or Litestar calls a status."""

import errno

import asyncpg
import msgspec
import pytest
import sqlalchemy.exc
from litestar import Litestar, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient

from broadsheet_common.http.problems import as_sentence, problem_handlers

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


class DriverError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(f"SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate


def database_error(sqlstate: str) -> Exception:
    return sqlalchemy.exc.DBAPIError("SELECT 1", {}, DriverError(sqlstate))


_UNAVAILABLE = ["08006", "53100", "53200", "53300", "57P01", "57P03", "58030", "25006", "55P03", "57014"]
_BUGS = ["22021", "23505", "42601", "42P01", "40001", "57000", "XX000", "P0001"]

FAULTS: list[tuple[Exception, int]] = [
    *((database_error(state), 503) for state in _UNAVAILABLE),
    *((database_error(state), 500) for state in _BUGS),
    (asyncpg.exceptions.CannotConnectNowError("starting up"), 503),
    (asyncpg.exceptions.DiskFullError("no space"), 503),
    (asyncpg.exceptions.UndefinedTableError("no such table"), 500),
    (asyncpg.exceptions.InterfaceError("connection is closed"), 503),
    (OSError(errno.ENOSPC, "no space left on device"), 503),
    (OSError(errno.EMFILE, "too many open files"), 503),
    (ConnectionResetError(), 503),
    (TimeoutError(), 503),
    (FileNotFoundError(errno.ENOENT, "no such file"), 500),
    (ExceptionGroup("x", [ConnectionResetError(), database_error("53100")]), 503),
    (ExceptionGroup("x", [ConnectionResetError(), KeyError("x")]), 500),
    (KeyError("x"), 500),
]


@pytest.mark.parametrize(("error", "status"), FAULTS, ids=[str(number) for number in range(len(FAULTS))])
def test_what_passes_by_itself_is_unavailable_and_anything_else_a_bug(error: Exception, status: int) -> None:
    @get("/")
    async def raise_it() -> None:
        raise error

    with TestClient(Litestar([raise_it], exception_handlers=problem_handlers(), openapi_config=None)) as client:
        response = client.get("/")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("The issue is not paused", "The issue is not paused."),
        ("is there already", "Is there already."),
        ("There is no such layout. ", "There is no such layout."),
        ("Which one?", "Which one?"),
        ("", ""),
    ],
)
def test_a_title_stands_on_a_page_as_a_sentence(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence
