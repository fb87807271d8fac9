"""What every JSON route keeps to: bodies that may be left out, their types, and what a choice may be."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody, QueryParameter
from litestar.testing import TestClient

from broadsheet_common.http.problems import problem_handlers
from broadsheet_common.http.route_rules import (
    JsonRequest,
    json_only,
    openapi_config,
    openapi_document,
    parse_parameter,
)


class Optional(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = "none"
    state: Literal["open", "closed"] | None = None


class Required(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Circle(msgspec.Struct, tag_field="shape", tag="circle"):
    radius: int = 1


class Square(msgspec.Struct, tag_field="shape", tag="square"):
    side: int = 1


class Drawing(msgspec.Struct):
    shapes: list[Circle | Square] = []
    colours: dict[str, Literal["red", "blue"]] = {}
    sizes: list[Annotated[Literal[1, 2], msgspec.Meta(description="size")]] = []
    notes: dict[str, str | int | float | None] = {}


@post("/optional", guards=[json_only])
async def optional(data: JSONBody[Optional], request: JsonRequest) -> dict[str, Any]:
    return {"reason": data.reason, "body": (await request.body()).decode()}


@post("/required", guards=[json_only])
async def required(data: JSONBody[Required]) -> str:
    return data.name


@post("/none")
async def none(request: JsonRequest) -> dict[str, str]:
    return {"body": (await request.body()).decode()}


@post("/draw", guards=[json_only])
async def draw(
    data: JSONBody[Drawing],
    pen: Annotated[Literal["thin", "thick"], QueryParameter()] = "thin",
    other: Annotated[str, QueryParameter()] = "",
) -> None:
    del data, pen
    parse_parameter(other or None, Literal["left", "right"] | None, pointer="/other")


@post("/numbered")
async def numbered(number: Annotated[int, QueryParameter()]) -> int:
    return number


@pytest.fixture(scope="module")
def client() -> Any:
    app = Litestar(
        [optional, required, none, draw, numbered, openapi_document],
        request_class=JsonRequest,
        exception_handlers=problem_handlers(),
        openapi_config=openapi_config("Test", "Test"),
    )
    with TestClient(app) as running:
        yield running


def test_a_body_whose_fields_may_all_be_left_out_may_be_left_out_itself(client: TestClient[Litestar]) -> None:
    json = {"content-type": "application/json"}
    for answer in (client.post("/optional"), client.post("/optional", headers=json), client.post("/optional", json={})):
        assert answer.status_code == 201, answer.text
        assert answer.json() == {"reason": "none", "body": "{}"}


def test_where_no_body_is_taken_none_is_made_up(client: TestClient[Litestar]) -> None:
    assert client.post("/none").json() == {"body": ""}


def test_a_missing_body_that_is_needed_is_named_by_its_field(client: TestClient[Litestar]) -> None:
    answer = client.post("/required")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/name"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_body_of_another_kind_is_still_refused(client: TestClient[Litestar], media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    assert client.post("/optional", content=b"{}", headers=headers).status_code == 415


def chunks() -> Any:
    yield b"{}"


def test_a_body_without_a_length_needs_its_type_too(client: TestClient[Litestar]) -> None:
    assert client.post("/optional", content=chunks()).status_code == 415


def test_the_document_says_which_bodies_may_be_left_out(client: TestClient[Litestar]) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    said = {path: operation["post"].get("requestBody", {}).get("required") for path, operation in paths.items()}
    assert said == {"/optional": False, "/required": True, "/draw": False, "/none": None, "/numbered": None}


def test_the_document_offers_no_integer_beside_a_number_so_that_a_whole_number_matches_one_choice(
    client: TestClient[Litestar],
) -> None:
    drawing = client.get("/openapi.json").json()["components"]["schemas"]["Drawing"]
    choices = drawing["properties"]["notes"]["additionalProperties"]["oneOf"]
    assert sorted(one["type"] for one in choices) == ["null", "number", "string"]


@pytest.mark.parametrize(
    ("body", "query", "pointer", "allowed"),
    [
        ({}, {"pen": "broad"}, "/pen", "`thick`, `thin`"),
        ({}, {"other": "up"}, "/other", "`left`, `right`"),
        ({"colours": {"sky": "grey"}}, {}, "/colours", "`blue`, `red`"),
        ({"sizes": [1, 3]}, {}, "/sizes/1", "`1`, `2`"),
        ({"shapes": [{"shape": "oval"}]}, {}, "/shapes/0/shape", "`circle`, `square`"),
    ],
)
def test_a_value_that_is_none_of_a_choice_is_answered_with_the_choice(
    client: TestClient[Litestar], body: Any, query: dict[str, str], pointer: str, allowed: str
) -> None:
    answer = client.post("/draw", json=body, params=query)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert f"allowed: {allowed}" in error["detail"]


def test_a_parameter_that_is_missing_is_named(client: TestClient[Litestar]) -> None:
    answer = client.post("/numbered")
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "/number", "detail": "This query parameter is required."}]


def test_other_faults_name_no_choice(client: TestClient[Litestar]) -> None:
    answer = client.post("/optional", json={"state": 3})
    [error] = answer.json()["errors"]
    assert "allowed" not in error["detail"]
