"""The merged OpenAPI document and the page made of it."""

import re
from typing import Any

import httpx
import pytest

from broadsheet_common.http.problems import UnavailableError
from broadsheet_gateway.api_docs.api_document import CACHE_S, ApiDocuments
from broadsheet_gateway.api_docs.merge_openapi import merge_documents
from broadsheet_gateway.api_docs.words import OperationWords, Words, load_words
from broadsheet_gateway.forwarding.upstreams import Upstreams
from harness.http.service_documents import own_api, service_documents

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
NOT_YOURS = {
    "description": "It is somebody else's (`not-yours`)",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": f"{REFERENCE}Problem"},
            "examples": {"not-yours": {"summary": "x", "value": {"type": "urn:broadsheet:problem:not-yours"}}},
        }
    },
}
SUBSCRIPTIONS = document(
    {
        "/api/v1/subscribers": get(
            "list", "Page", tags=["subscribers"], security=[{"identity": []}], **{"x-required-scopes": ["read"]}
        ),
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
SUBSCRIPTIONS["paths"]["/api/v1/subscribers"]["get"]["responses"]["403"] = NOT_YOURS
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
    """The schemas that it refers to."""
    if isinstance(node, dict):
        own = {node["$ref"].removeprefix(REFERENCE)} if node.get("$ref", "").startswith(REFERENCE) else set()
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
    assert [name for name in schemas if "Problem" in name] == ["FieldProblem", "Problem"]


def test_operation_ids_are_unique(merged: dict[str, Any]) -> None:
    ids = [operation["operationId"] for item in merged["paths"].values() for operation in item.values()]
    assert sorted(ids) == ["get", "list", "subscriptions_list"]


def test_credentials_are_the_gateways(merged: dict[str, Any]) -> None:
    assert merged["security"] == [{"api_key": []}, {"session": []}]
    assert merged["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    assert merged["components"]["securitySchemes"]["session"]["name"] == "session"
    assert merged["paths"]["/api/v1/subscribers"]["get"]["security"] == [{"api_key": ["read"]}, {"session": ["read"]}]


def test_an_operation_says_which_scope_it_needs(merged: dict[str, Any]) -> None:
    operation = merged["paths"]["/api/v1/subscribers"]["get"]
    assert operation["description"].endswith("Needs the scope `read`.")


def test_what_a_service_and_the_gateway_may_answer_with_one_status_is_joined(merged: dict[str, Any]) -> None:
    operation = merged["paths"]["/api/v1/subscribers"]["get"]
    forbidden = merged["components"]["responses"][operation["responses"]["403"]["$ref"].rpartition("/")[2]]
    assert set(forbidden["content"]["application/problem+json"]["examples"]) == {"forbidden", "not-yours"}
    assert "urn:broadsheet:problem:not-yours" in operation["x-problem-types"]
    assert "urn:broadsheet:problem:too-many-requests" in operation["x-problem-types"]


def test_words_of_a_service_come_before_those_of_the_table() -> None:
    words = Words({"list": OperationWords("From the table.", request="")}, {"issues": "Mailings"}, {"id": 7})
    document = merge_documents(
        {"publishing": PUBLISHING}, version="1", public_url="x", session_cookie_name="s", words=words
    )
    assert document["paths"]["/api/v1/issues"]["get"]["description"] == "From the table."
    assert document["tags"] == [{"name": "issues", "description": "Mailings"}]
    own = {**PUBLISHING, "paths": {"/api/v1/issues": get("list", "Page", description="Its own.")}}
    document = merge_documents({"publishing": own}, version="1", public_url="x", session_cookie_name="s", words=words)
    assert document["paths"]["/api/v1/issues"]["get"]["description"] == "Its own."


def test_the_tables_words_are_for_operations_that_exist() -> None:
    """What a renamed operation leaves behind would be shown nowhere."""
    ids = {
        operation["operationId"]
        for document in [*service_documents().values(), own_api().document()]
        for item in document["paths"].values()
        for operation in item.values()
    }
    assert set(load_words().operations) - ids == set()


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
    assert 'data-document="/openapi.json"' in page.text
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


async def test_a_service_that_goes_down_keeps_its_part() -> None:
    services = Documents({"publishing": PUBLISHING})
    clock = Clock()
    documents = ApiDocuments(
        services,
        own=document({}, {}),
        public_url="https://x.example",
        session_cookie_name="s",
        monotonic_s=clock,
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
    assert (await client.get("/docs")).status_code == 200


async def test_the_page_runs_and_shows_only_what_this_site_serves(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    client = await gateway.client()
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page.text) == []
    addresses = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        answer = await client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_the_page_of_a_session_carries_its_token_and_is_kept_by_nobody(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    visitor = await gateway.client()
    assert "csrf" not in (await visitor.get("/docs")).text
    browser = await gateway.signed_in()
    page = await browser.get("/docs")
    assert re.search(r'data-csrf-token="[0-9a-f]{64}"', page.text)
    assert page.headers["cache-control"] == "no-store"
