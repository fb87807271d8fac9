"""The service's OpenAPI document: open, complete, and every route with its problems."""

from typing import Any

from .conftest import Subscriptions


async def read_document(subscriptions: Subscriptions) -> dict[str, Any]:
    response = await subscriptions.client.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_it_lists_every_route(subscriptions: Subscriptions) -> None:
    document = await read_document(subscriptions)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Broadsheet subscriptions"
    assert set(operations(document)) == {
        "GET /api/v1/subscribers",
        "POST /api/v1/subscribers",
        "GET /api/v1/subscribers/{subscriber_id}",
        "POST /api/v1/subscribers/{subscriber_id}/unsubscribe",
        "POST /public/subscriptions",
        "POST /public/confirmations",
        "POST /public/confirmations/lookup",
        "POST /public/unsubscribes",
        "POST /public/unsubscribes/lookup",
    }


async def test_every_operation_has_an_id_a_tag_a_summary_and_its_problems(subscriptions: Subscriptions) -> None:
    listed = operations(await read_document(subscriptions))
    assert len({operation["operationId"] for operation in listed.values()}) == len(listed)
    for name, operation in listed.items():
        assert operation["tags"], name
        assert operation["summary"], name
        wanted = {"400", "401", "403", "503"} | ({"413", "415"} if name.startswith("POST") else set())
        assert wanted <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (name, status)


async def test_only_the_routes_with_effects_take_an_idempotency_key(subscriptions: Subscriptions) -> None:
    listed = operations(await read_document(subscriptions))
    with_key = {
        name
        for name, operation in listed.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert with_key == {"POST /api/v1/subscribers", "POST /api/v1/subscribers/{subscriber_id}/unsubscribe"}
