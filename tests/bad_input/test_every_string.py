"""NUL, unpaired surrogates and bidirectional controls in every string of every route of every service: never a 5xx."""

import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from litestar.routes import HTTPRoute

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter, ServiceName
from harness.http.asgi import asgi_transport
from harness.http.service_documents import METHODS, service_documents
from harness.keys import identity_keys, scopes
from harness.system import PASSWORD, USERNAME, System

SERVICES: tuple[ServiceName, ...] = ("subscriptions", "publishing", "delivery")
POISONS = {"nul": "a\0b", "surrogate": "a\ud800b", "bidi": "a\u202eb"}
CONTENT_FIELDS = frozenset({"html_content", "text_content"})
DEPTH_MAX = 6
BATCH = "/api/v1/subscribers/batch"
FORM_FIELDS = (
    "name", "email", "username", "password", "title", "html_content", "text_content", "idempotency_key",
    "subscription_token", "token", "newsletter", "current_password", "new_password", "new_password_check", "action",
    "new_email", "website", "ticket", "publish_at", "csrf_token", "password_check", "role_1", "newsletter_1", "version",
)  # fmt: skip


def percent_encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


class Shapes:
    """Values that a document's schemas allow, as plainly as possible."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]["schemas"]

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._components[schema["$ref"].rpartition("/")[2]]
        return schema

    def is_text(self, schema: dict[str, Any]) -> bool:
        schema = self.resolve(schema)
        parts = schema.get("oneOf", schema.get("anyOf", []))
        return "string" in _types(schema) or any(self.is_text(part) for part in parts)

    def example(self, schema: dict[str, Any], depth: int = 0) -> Any:
        schema = self.resolve(schema)
        for key in ("oneOf", "anyOf", "allOf"):
            if schema.get(key):
                parts = sorted(schema[key], key=lambda part: "null" in _types(self.resolve(part)))
                return self.example(parts[0], depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kinds = _types(schema) - {"null"}
        if "object" in kinds or "properties" in schema:
            if depth > DEPTH_MAX:
                return {}
            return {name: self.example(part, depth + 1) for name, part in schema.get("properties", {}).items()}
        if "array" in kinds:
            return [self.example(schema["items"], depth + 1)] if "items" in schema and depth <= DEPTH_MAX else []
        if "integer" in kinds or "number" in kinds:
            return max(1, schema.get("minimum", 1))
        if "boolean" in kinds:
            return True
        return "text"


def _types(schema: dict[str, Any]) -> set[str]:
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)


def poisoned(value: Any, poison: str, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """The value with one string in it replaced, for each of its strings; and once with a member's name."""
    if isinstance(value, str):
        yield pointer, poison
    elif isinstance(value, dict):
        for name, member in value.items():
            for place, changed in poisoned(member, poison, f"{pointer}/{name}"):
                yield place, {**value, name: changed}
        yield f"{pointer}/{poison}", {**value, poison: "text"}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for place, changed in poisoned(item, poison, f"{pointer}/{index}"):
                yield place, [*value[:index], changed, *value[index + 1 :]]


Asked = tuple[str, str, str, dict[str, Any], bytes]
"""What is poisoned, method, path with query, headers, body."""


def requests_of(document: dict[str, Any], poison: str) -> Iterator[Asked]:
    shapes = Shapes(document)
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            plain_path = re.sub(r"\{[^}]*\}", "1", path)
            headers = {"If-Match": "*", "Idempotency-Key": "key-1"}
            body = b""
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(shapes.example(schema)).encode()
                for pointer, changed in poisoned(shapes.example(schema), poison):
                    yield f"body{pointer}", method, plain_path, headers, json.dumps(changed).encode()
            for parameter in parameters:
                name = parameter["name"]
                if parameter["in"] == "path":
                    changed_path = path.replace(f"{{{name}}}", percent_encoded(poison))
                    yield f"path {name}", method, re.sub(r"\{[^}]*\}", "1", changed_path), headers, body
                elif parameter["in"] == "query":
                    query = f"{plain_path}?{name}={percent_encoded(poison)}"
                    yield f"query {name}", method, query, headers, body
                elif parameter["in"] == "header":
                    yield f"header {name}", method, plain_path, {**headers, name: "a\xe9b"}, body
            yield "query of nobody", method, f"{plain_path}?{percent_encoded(poison)}=1", headers, body


def judged(asked: Asked, answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    """The status and the problem; of a batch, whose items are judged one by one, those of the item."""
    body: dict[str, Any] = answer.json() if answer.content else {}
    if asked[2] == BATCH and answer.status_code == 200:
        [item] = body["items"]
        return item["status"], item["problem"]
    return answer.status_code, body


async def ask(client: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    _, method, target, headers, body = asked
    path, _, query = target.partition("?")
    url = httpx.URL(str(client.base_url)).copy_with(raw_path=f"{path}?{query}".encode() if query else path.encode())
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in {**client.headers, **headers}.items()]
    request = httpx.Request(method.upper(), url, headers=encoded, content=body)
    return await client.send(request)


@pytest.mark.parametrize("kind", POISONS)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_string_of_an_api_route_is_a_fault_of_ours(system: System, service: ServiceName, kind: str) -> None:
    """Straight to the service, as the gateway would pass some of it and not all."""
    identity = Identity("key:1", scopes("read", "write", "admin", "public"))
    headers = {IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(identity, service)}
    faults, tried = [], 0
    async with httpx.AsyncClient(
        transport=asgi_transport(system.apps[service]), base_url="http://service", headers=headers
    ) as client:
        for asked in requests_of(service_documents()[service], POISONS[kind]):
            answer = await ask(client, asked)
            tried += 1
            field = asked[0].rpartition("/")[2]
            status, problem = judged(asked, answer)
            is_content = field in CONTENT_FIELDS and kind == "bidi"
            # Every bad token has the same answer: 401 or 404, or 202 where the answer must not say whether it is good.
            named = {400, 401, 404, 422} if field == "token" else {400, 404, 415, 422}
            is_named = status in named and problem["type"].startswith("urn:")
            is_silent = field == "token" and status == 202
            if status >= 500 or not (is_named or is_content or is_silent):
                faults.append((*asked[:3], status))
    assert tried > 10
    assert faults == []


@pytest.mark.parametrize("kind", POISONS)
async def test_no_field_of_a_page_is_a_fault_of_ours(system: System, kind: str) -> None:
    """Every route of the gateway, its forms and its queries, signed in and not."""
    poison = percent_encoded(POISONS[kind])
    faults, tried = [], 0
    async with AsyncExitStack() as stack:
        for signed_in in (False, True):
            client = await stack.enter_async_context(system.client())
            for route in system.apps["gateway"].routes:
                if not isinstance(route, HTTPRoute) or route.path.startswith("/health"):
                    continue
                if signed_in:
                    # Anew for each route: what was sent to the one before may have ended the session.
                    await client.post("/login", data={"username": USERNAME, "password": PASSWORD})
                path = re.sub(r"\{[^}]*\}", "1", route.path_format)
                fields = FORM_FIELDS if "POST" in route.methods else ()
                wanted: list[Asked] = [("query", "get", f"{path}?subscription_token={poison}&cursor={poison}", {}, b"")]
                wanted += [("path", "get", re.sub(r"\{[^}]*\}", poison, route.path_format), {}, b"")]
                wanted += [
                    (
                        f"field {field}",
                        "post",
                        path,
                        {"Content-Type": "application/x-www-form-urlencoded"},
                        "&".join(f"{name}={poison if name == field else 'text'}" for name in FORM_FIELDS).encode(),
                    )
                    for field in fields
                ]
                for asked in wanted:
                    answer = await ask(client, asked)
                    tried += 1
                    if answer.status_code >= 500:
                        faults.append((*asked[:3], answer.status_code))
    assert tried > 100
    assert faults == []
