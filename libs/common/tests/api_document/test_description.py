"""What is added to Litestar's document of a service."""

from typing import Annotated, Generic, TypeVar

import msgspec
import pytest
from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from broadsheet_common.api_document.description import plain_name
from broadsheet_common.contracts.identity import newsletter_in_path, requires
from broadsheet_common.http.application import create_service_app
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents, openapi_config, served_document

T = TypeVar("T")


class Sheet(msgspec.Struct, Generic[T]):
    """One page."""

    items: list[T]


class Inner(msgspec.Struct):
    """Deep inside."""

    count: Annotated[int, msgspec.Meta(ge=1)]


class Thing(msgspec.Struct):
    """A thing, over
    two lines.
    """

    inner: Inner | None
    name: str | msgspec.UnsetType = msgspec.UNSET


class Things(Controller):
    path = "/things"
    tags = ("Things",)

    @get(guards=[requires("issues:read")], responses=documents(NotFoundError))
    async def list_things(
        self, wanted: Annotated[str | None, QueryParameter(name="wanted", description="Which")] = None
    ) -> Sheet[Thing]:
        return Sheet([Thing(None, wanted or msgspec.UNSET)])

    @post("/{newsletter_id:int}", guards=[requires("issues:write", newsletter=newsletter_in_path)])
    async def create_thing(self, newsletter_id: PathId, data: JSONBody[Thing]) -> Thing:
        return Thing(Inner(newsletter_id), data.name)


@pytest.fixture(scope="module", name="document")
def the_document() -> dict[str, object]:
    app = create_service_app(
        route_handlers=[Things], dependencies={}, readiness_checks={}, openapi_config=openapi_config("x", "y")
    )
    return served_document(app)


def test_an_operation_names_the_scope_of_its_guards(document: dict[str, object]) -> None:
    paths = msgspec.convert(document["paths"], dict[str, dict[str, dict[str, object]]])
    assert paths["/things"]["get"]["x-required-scopes"] == ["issues:read"]
    assert paths["/things"]["get"]["x-scope-by-newsletter"] is False
    assert paths["/things/{newsletter_id}"]["post"]["x-required-scopes"] == ["issues:write"]
    assert paths["/things/{newsletter_id}"]["post"]["x-scope-by-newsletter"] is True


def test_schemas_have_plain_names_and_the_words_of_their_structs(document: dict[str, object]) -> None:
    schemas = msgspec.convert(document["components"], dict[str, dict[str, dict[str, object]]])["schemas"]
    assert {"ThingSheet", "Thing", "Inner"} <= set(schemas)
    assert schemas["Thing"]["description"] == "A thing, over two lines."
    assert schemas["Inner"]["description"] == "Deep inside."
    assert schemas["ThingSheet"]["title"] == "ThingSheet"
    assert schemas["Thing"]["properties"] == {
        "inner": {"oneOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}]},
        "name": {"type": "string"},
    }


def test_a_parameter_cannot_be_null_and_a_problem_has_an_example(document: dict[str, object]) -> None:
    paths = msgspec.convert(document["paths"], dict[str, dict[str, dict[str, object]]])
    operation = paths["/things"]["get"]
    assert operation["parameters"] == [
        {"name": "wanted", "in": "query", "schema": {"type": "string"}, "description": "Which"}
    ]
    responses = msgspec.convert(operation["responses"], dict[str, dict[str, object]])
    content = msgspec.convert(responses["404"]["content"], dict[str, dict[str, object]])
    assert content["application/problem+json"]["examples"] == {
        "not-found": {
            "summary": "Not found",
            "value": {"type": "urn:broadsheet:problem:not-found", "title": "Not found", "status": 404},
        }
    }


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Page_service.room.api.Issue_", "IssuePage"),
        ("service.room_two.api.Issue", "Issue"),
        ("Issue", "Issue"),
        ("Page_Issue_", "IssuePage"),
    ],
)
def test_a_name_without_its_module(name: str, plain: str) -> None:
    assert plain_name(name) == plain
