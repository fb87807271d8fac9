"""A service's OpenAPI document, and what every operation in it must have."""

from typing import Any

import httpx

Operations = dict[str, dict[str, Any]]
"""By method and path: `POST /api/v1/issues`."""


async def read_operations(client: httpx.AsyncClient, *, title: str) -> Operations:
    """The document is open to read, of version 3.1, and the service's own."""
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    document = response.json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == title
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def assert_documented(operations: Operations, *, without_body: frozenset[str] = frozenset()) -> None:
    """An id of its own, a tag, a summary, and every problem as problem+json."""
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for name, operation in operations.items():
        assert operation["tags"], name
        assert operation["summary"], name
        has_body = name.startswith("POST") and name not in without_body
        wanted = {"400", "401", "403", "503"} | ({"413", "415"} if has_body else set())
        assert wanted <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (name, status)


def with_idempotency_key(operations: Operations) -> set[str]:
    return {
        name
        for name, operation in operations.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
