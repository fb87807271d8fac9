"""The service's OpenAPI document: open, complete, and every route with its problems."""

from typing import Any

from .conftest import Publishing


async def read_document(publishing: Publishing) -> dict[str, Any]:
    response = await publishing.client.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_it_lists_every_route(publishing: Publishing) -> None:
    document = await read_document(publishing)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Broadsheet publishing"
    assert set(operations(document)) == {
        "GET /api/v1/newsletters",
        "GET /api/v1/newsletters/{newsletter_id}",
        "GET /api/v1/issues",
        "POST /api/v1/issues",
        "GET /api/v1/issues/{issue_id}",
        "POST /api/v1/issues/{issue_id}/publish",
    }


async def test_every_operation_has_an_id_a_tag_a_summary_and_its_problems(publishing: Publishing) -> None:
    listed = operations(await read_document(publishing))
    assert len({operation["operationId"] for operation in listed.values()}) == len(listed)
    for name, operation in listed.items():
        assert operation["tags"], name
        assert operation["summary"], name
        wanted = {"400", "401", "403", "503"} | ({"413", "415"} if name == "POST /api/v1/issues" else set())
        assert wanted <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (name, status)


async def test_only_the_routes_with_effects_take_an_idempotency_key(publishing: Publishing) -> None:
    listed = operations(await read_document(publishing))
    with_key = {
        name
        for name, operation in listed.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert with_key == {"POST /api/v1/issues", "POST /api/v1/issues/{issue_id}/publish"}
