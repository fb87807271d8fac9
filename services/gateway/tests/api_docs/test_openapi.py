"""The merged OpenAPI document and the page made of it."""

from typing import Any

import httpx
import pytest

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.api_docs.api_document import CACHE_S, ApiDocuments
from broadsheet_gateway.api_docs.merge_openapi import merge_documents
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.pages import Pages

from ..conftest import MakeGateway

REFERENCE = "#/components/schemas/"


def document(paths: dict[str, Any], schemas: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
        **more,
    }


def get(operation_id: str, schema: str, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REFERENCE + schema}}}
    return {"get": {"operationId": operation_id, "responses": {"200": {"description": "", "content": content}}, **more}}


PROBLEM = {"type": "object", "title": "Problem"}
SUBSCRIPTIONS = document(
    {
        "/api/v1/subscribers": get("list", "Page", tags=["subscribers"], security=[{"identity": []}]),
        "/public/subscriptions": get("signUp", "Secret"),
        "/api/v1/issues": get("stolen", "Secret"),
    },
    {
        "Page": {"items": {"$ref": REFERENCE + "Subscriber"}},
        "Subscriber": {"type": "object", "next": {"$ref": REFERENCE + "Subscriber"}},
        "Problem": PROBLEM,
        "Secret": {"type": "string"},
    },
    tags=[{"name": "subscribers", "description": "People"}],
)
PUBLISHING = document(
    {
        "/api/v1/issues": get("list", "Page", tags=["issues"]),
        "/api/v1/issues/{issue_id}": get("get", "Problem"),
        "/health/live": get("live", "Problem"),
    },
    {"Page": {"items": {"$ref": REFERENCE + "Issue"}}, "Issue": {"type": "object"}, "Problem": PROBLEM},
)


@pytest.fixture
def merged() -> dict[str, Any]:
    return merge_documents(
        {"subscriptions": SUBSCRIPTIONS, "publishing": PUBLISHING},
        version="1.2.3",
        public_url="https://news.example.com",
        session_cookie_name="session",
    )


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"].removeprefix(REFERENCE)} if "$ref" in node else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_only_paths_that_the_gateway_forwards_to_that_service_are_shown(merged: dict[str, Any]) -> None:
    assert list(merged["paths"]) == ["/api/v1/issues", "/api/v1/issues/{issue_id}", "/api/v1/subscribers"]


def test_every_reference_leads_somewhere_and_nothing_unused_is_left(merged: dict[str, Any]) -> None:
    assert references(merged) == set(merged["components"]["schemas"])
    assert "Secret" not in merged["components"]["schemas"]


def test_names_that_two_services_use_differently_are_told_apart(merged: dict[str, Any]) -> None:
    schemas = merged["components"]["schemas"]
    assert references(merged["paths"]["/api/v1/issues"]["get"]["responses"]["200"]) == {"Page"}
    assert references(merged["paths"]["/api/v1/subscribers"]["get"]["responses"]["200"]) == {"SubscriptionsPage"}
    assert references(schemas["SubscriptionsPage"]) == {"Subscriber"}
    assert references(schemas["Page"]) == {"Issue"}
    assert references(schemas["Subscriber"]) == {"Subscriber"}
    assert [name for name in schemas if "Problem" in name] == ["GatewayProblem", "Problem"]


def test_operation_ids_are_unique(merged: dict[str, Any]) -> None:
    ids = [operation["operationId"] for item in merged["paths"].values() for operation in item.values()]
    assert sorted(ids) == ["get", "list", "subscriptions_list"]


def test_credentials_are_the_gateways(merged: dict[str, Any]) -> None:
    assert merged["security"] == [{"api_key": []}, {"session": []}]
    assert merged["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    assert merged["components"]["securitySchemes"]["session"]["name"] == "session"
    assert "security" not in merged["paths"]["/api/v1/subscribers"]["get"]


def test_every_operation_says_what_the_gateway_may_answer(merged: dict[str, Any]) -> None:
    for item in merged["paths"].values():
        assert {"200", "401", "403", "429", "503", "504"} <= set(item["get"]["responses"])


def test_merging_changes_none_of_the_documents() -> None:
    before = repr((SUBSCRIPTIONS, PUBLISHING))
    for _ in range(2):
        merge_documents(
            {"subscriptions": SUBSCRIPTIONS, "publishing": PUBLISHING},
            version="1",
            public_url="x",
            session_cookie_name="s",
        )
    assert repr((SUBSCRIPTIONS, PUBLISHING)) == before


async def test_the_document_and_its_page_are_public(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.subscriptions.answer("GET", "/openapi.json", body=SUBSCRIPTIONS)
    gateway.publishing.answer("GET", "/openapi.json", body=PUBLISHING)
    client = await gateway.client()
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["openapi"] == "3.1.0"
    assert response.json()["servers"] == [{"url": "http://127.0.0.1:8081"}]
    again = await client.get("/openapi.json", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/api/v1/subscribers" in page.text
    asked = [request for request in gateway.publishing.received if request.path == "/openapi.json"]
    assert len(asked) == 1


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Documents(Upstreams):
    """Answers for the services from a table; a service that is missing from it is down."""

    def __init__(self, by_service: dict[str, dict[str, Any]]) -> None:
        self.by_service = by_service
        self.asked = 0

    async def call(self, service: str, *_: Any, **__: Any) -> Any:
        self.asked += 1
        if service not in self.by_service:
            raise UnavailableError
        return self.by_service[service]


async def test_a_service_that_goes_down_keeps_its_part(pages: Pages) -> None:
    services = Documents({"publishing": PUBLISHING})
    clock = Clock()
    documents = ApiDocuments(
        services, pages, public_url="https://x.example", session_cookie_name="s", monotonic_s=clock
    )
    first = await documents.get()
    assert b"/api/v1/issues" in first.body
    assert services.asked == 3
    assert await documents.get() is first
    assert services.asked == 3

    services.by_service = {"subscriptions": SUBSCRIPTIONS, "delivery": document({}, {})}
    clock.now_s += CACHE_S
    second = await documents.get()
    assert b"/api/v1/issues" in second.body
    assert b"/api/v1/subscribers" in second.body
    assert first.etag != second.etag


async def test_with_every_service_down_from_the_start_it_is_a_503(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    for service in (gateway.subscriptions, gateway.publishing, gateway.delivery):
        service.fail("GET", "/openapi.json", httpx.ConnectError("refused"))
    client = await gateway.client()
    assert (await client.get("/openapi.json")).status_code == 503
    page = await client.get("/docs", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert page.headers["content-type"].startswith("text/html")
