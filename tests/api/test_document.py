"""The OpenAPI document and the page made of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from broadsheet_gateway.forwarding.route_table import find_route
from broadsheet_local.api_contract.breaking_changes import find_breaking_changes
from harness.system import System

Document = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
_METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


async def _document(system: System) -> Document:
    answer = await system.visitor.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document: Document = answer.json()
    return document


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield method, path, operation


def _answers(document: Document, operation: Document) -> dict[str, Document]:
    """By status; most answers with problems stand in the components."""
    shared = document["components"]["responses"]
    return {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }


def _shape(path: str) -> str:
    """A path template without its parameters' names."""
    return re.sub(r"\{[^}]+\}", "{}", path)


def _public_routes(app: Litestar) -> Iterator[tuple[str, str]]:
    """What a service offers of the API that the gateway forwards."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and find_route(re.sub(r"\{[^}]+\}", "1", route.path_format)) is not None:
            for method in route.methods - {"OPTIONS", "HEAD"}:
                yield method.lower(), _shape(route.path_format)


async def test_the_document_lists_every_route_and_no_other(system: System) -> None:
    listed = {(method, _shape(path)) for method, path, _ in _operations(await _document(system))}
    owners = [system.apps[name] for name in ("subscriptions", "publishing", "delivery")]
    owners.append(system.apps["gateway"].state.own_api.app)
    assert listed == {route for app in owners for route in _public_routes(app)}
    assert ("post", "/api/v1/issues/{}/publish") in listed


async def test_the_document_is_openapi_3_1(system: System) -> None:
    """The rules of the specification that a generator of clients relies on."""
    document = await _document(system)
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]
    for method, path, operation in _operations(document):
        assert path.startswith("/")
        declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert declared == set(re.findall(r"\{([^}]+)\}", path)), (method, path)
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in {"path", "query", "header", "cookie"}
            assert ("schema" in parameter) != ("content" in parameter)
            assert parameter["in"] != "path" or parameter["required"] is True
        assert operation["responses"]
        for status, response in _answers(document, operation).items():
            assert re.fullmatch(r"[1-5]\d\d|default", status)
            assert response["description"]
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]


async def test_every_reference_in_the_document_leads_somewhere(system: System) -> None:
    document = await _document(system)
    waiting: list[Any] = [document]
    references = 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if isinstance(node.get("$ref"), str):
                references += 1
                target: Any = document
                for step in node["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
                assert isinstance(target, dict)
    assert references > 10


async def test_operation_ids_are_unique_and_every_operation_has_a_summary_and_a_tag(system: System) -> None:
    operations = [operation for _, _, operation in _operations(await _document(system))]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert " " in operation["summary"], operation["operationId"]
        assert operation["tags"]


async def test_operation_ids_are_names_that_a_person_would_give(system: System) -> None:
    """They become the names of functions in generated clients."""
    ids = [operation["operationId"] for _, _, operation in _operations(await _document(system))]
    assert [one for one in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+){0,4}", one)] == []


async def test_a_resource_has_one_tag(system: System) -> None:
    """The docs page has a section a tag: the issues of two services belong into one."""
    tags = {tag for _, _, operation in _operations(await _document(system)) for tag in operation["tags"]}
    assert len({tag.lower() for tag in tags}) == len(tags), sorted(tags)
    assert {tag[0].isupper() for tag in tags} == {True}, sorted(tags)


async def test_every_operation_documents_its_problems(system: System) -> None:
    document = await _document(system)
    for method, path, operation in _operations(document):
        problems = {status: one for status, one in _answers(document, operation).items() if int(status) >= 400}
        assert {"400", "401", "403", "503"} <= set(problems), (method, path)
        assert "404" in problems or "{" not in path, (method, path)
        assert "415" in problems or "requestBody" not in operation, (method, path)
        for status, response in problems.items():
            assert list(response["content"]) == ["application/problem+json"], (method, path, status)


async def test_every_operation_answers_as_documented(system: System) -> None:
    """Ask each without credentials: an operation that is documented exists, and its 401 is a problem."""
    for method, path, operation in _operations(await _document(system)):
        answer = await system.visitor.request(method, re.sub(r"\{[^}]+\}", "1", path), json={})
        assert answer.status_code == 401, (method, path)
        assert "401" in operation["responses"]


async def test_the_document_names_its_credentials(system: System) -> None:
    document = await _document(system)
    schemes = document["components"]["securitySchemes"]
    assert {name for one in document["security"] for name in one} == set(schemes)
    assert schemes["api_key"]["scheme"] == "bearer"


async def test_the_released_document_is_the_one_that_is_served(system: System) -> None:
    """As far as clients depend on it: `./run check` compares the rest."""
    released = msgspec.json.decode((ROOT / "docs/api/openapi.json").read_bytes())
    served = await _document(system)
    assert find_breaking_changes(released, served) == []


async def test_the_docs_page_needs_nothing_from_elsewhere(system: System) -> None:
    page = (await system.visitor.get("/docs")).text
    named = re.findall(r' (?:src|href|action|data-document)="([^"]*)"', page)
    assert named
    assert [address for address in named if not address.startswith(("/", "#")) or address.startswith("//")] == []
    assert "/api/v1/issues</code>" in page
