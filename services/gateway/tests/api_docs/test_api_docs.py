"""The API reference, from OpenAPI documents good and bad."""

import shlex
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_gateway.api_docs.page import ApiDocs, Operation, read_api_docs
from broadsheet_gateway.api_docs.schema import SchemaReader
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.preview_samples import sample_openapi
from broadsheet_gateway.pages.views import DocsPage


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.fixture(name="docs")
def read_sample() -> ApiDocs:
    return read_api_docs(sample_openapi(), base_url="https://news.example.com/")


def _operation(docs: ApiDocs, summary: str) -> Operation:
    (found,) = (o for group in docs.groups for o in group.operations if o.summary == summary)
    return found


def _words(curl: str) -> list[str]:
    return shlex.split(curl.replace("\\\n", " "))


def test_operations_stand_under_their_tags_in_the_order_of_the_document(docs: ApiDocs) -> None:
    assert [(group.name, [o.summary for o in group.operations]) for group in docs.groups] == [
        ("Issues", ["List issues", "Create an issue", "Get an issue with its counts"]),
        ("Subscribers", ["Add a subscriber"]),
        ("Other", ["Whether the process is up"]),
    ]
    assert docs.groups[0].description == "One mailing of a newsletter."


def test_parameters_say_type_limits_and_place(docs: ApiDocs) -> None:
    limit, cursor = _operation(docs, "List issues").parameters
    assert (limit.name, limit.location, limit.required) == ("limit", "query", False)
    assert [part.text for part in limit.type] == ["integer"]
    assert limit.limits == ("at least 1", "at most 200", "default 50")
    assert "".join(part.text for part in cursor.type) == "string or null"
    (issue_id,) = _operation(docs, "Get an issue with its counts").parameters
    assert (issue_id.location, issue_id.required) == ("path", True)


def test_the_body_lists_its_members_and_links_to_its_schema(docs: ApiDocs) -> None:
    body = _operation(docs, "Create an issue").body
    assert body is not None
    assert [(part.text, part.anchor) for part in body.type] == [("NewIssue", "schema-newissue")]
    assert [(member.name, member.required) for member in body.properties] == [
        ("title", True), ("content", True), ("text_content", True), ("publish", False),
    ]  # fmt: skip
    assert body.properties[0].limits == ("at least 1 character", "at most 2000 characters")


def test_the_curl_example_is_a_command_that_sends_the_example_body(docs: ApiDocs) -> None:
    words = _words(_operation(docs, "Create an issue").curl)
    assert words[:4] == ["curl", "-X", "POST", "https://news.example.com/api/v1/issues"]
    assert {"Content-Type: application/json", "Idempotency-Key: issue-14"} <= set(words)
    assert "Authorization: Bearer $BROADSHEET_API_KEY" in words
    assert msgspec.json.decode(words[words.index("-d") + 1]) == {
        "title": "Reader’s digest",  # noqa: RUF001
        "content": "<p>Hello, Reader.</p>",
        "text_content": "Hello, Reader.",
        "publish": False,
    }


def test_path_parameters_are_filled_in_and_open_operations_need_no_key(docs: ApiDocs) -> None:
    assert "https://news.example.com/api/v1/issues/1" in _words(_operation(docs, "Get an issue with its counts").curl)
    live = _operation(docs, "Whether the process is up")
    assert live.credentials == ()
    assert _words(live.curl) == ["curl", "https://news.example.com/health/live"]


def test_answers_carry_their_phrase_and_success_an_example(docs: ApiDocs) -> None:
    created, refused = _operation(docs, "Create an issue").answers
    assert (created.status, created.phrase, created.is_success) == ("201", "Created", True)
    example = msgspec.json.decode(created.example)
    assert example["title"] == "Reader’s digest"  # noqa: RUF001
    assert (example["status"], example["published_at"]) == ("draft", "2026-01-31T09:00:00Z")
    assert (refused.status, refused.media_type, refused.example) == ("422", "application/problem+json", "")


def test_schemas_merge_what_they_are_made_of(docs: ApiDocs) -> None:
    issue = next(schema for schema in docs.schemas if schema.name == "Issue")
    assert [member.name for member in issue.properties] == [
        "title", "content", "text_content", "publish", "id", "status", "published_at", "counts",
    ]  # fmt: skip
    counts = issue.properties[-1]
    assert "".join(part.text for part in counts.type) == "map of string to integer"
    status = next(schema for schema in docs.schemas if schema.name == "Status")
    assert status.limits == ('one of "draft", "sending", "sent"',)


def test_credentials_are_explained(docs: ApiDocs) -> None:
    assert [(c.name, c.how) for c in docs.credentials] == [
        ("bearer", "Authorization: Bearer <key>"),
        ("session", "cookie: session"),
    ]
    assert _operation(docs, "List issues").credentials == ("bearer", "session")


def test_anchors_stay_apart_when_names_collide() -> None:
    operation = {"operationId": "do", "responses": {}}
    document = {
        "paths": {"/a": {"get": operation, "post": operation}, "/b": {"get": {**operation, "operationId": "DO"}}}
    }
    docs = read_api_docs(document, base_url="https://news.example.com")
    anchors = [o.anchor for group in docs.groups for o in group.operations]
    assert anchors == ["operation-do", "operation-do-2", "operation-do-3"]


def test_schemas_that_refer_to_themselves_and_each_other_end() -> None:
    names = [f"S{number}" for number in range(30)]
    reference = {name: {"$ref": f"#/components/schemas/{name}"} for name in names}
    schemas: dict[str, Any] = {name: {"type": "object", "properties": reference} for name in names}
    schemas["Loop"] = {"$ref": "#/components/schemas/Loop"}
    document = {"components": {"schemas": schemas}}
    reader = SchemaReader(document, {})
    assert reader.resolve(schemas["Loop"]) == {}
    assert len(msgspec.json.encode(reader.example(schemas["S0"]))) < 20_000


def test_schemas_are_called_by_their_titles_where_these_tell_them_apart() -> None:
    page = {"title": "Page[Issue]", "type": "object"}
    schemas = {"Page_service.api.Issue_": page, "First": {"title": "Same"}, "Second": {"title": "Same"}}
    docs = read_api_docs({"components": {"schemas": schemas}}, base_url="https://news.example.com")
    assert [(schema.name, schema.anchor) for schema in docs.schemas] == [
        ("Page[Issue]", "schema-page-issue"),
        ("First", "schema-first"),
        ("Second", "schema-second"),
    ]


def test_limits_are_plain_numbers_and_the_width_of_a_column_is_none() -> None:
    reader = SchemaReader({}, {})
    assert reader.limits({"minimum": 1.0, "maximum": 9223372036854775807}) == ("at least 1",)
    assert reader.limits({"minimum": 0.5, "pattern": "^a+$"}) == ("at least 0.5", "matches ^a+$")


def test_a_status_that_only_repeats_itself_is_not_described() -> None:
    responses = {"200": {"description": "Request fulfilled, document follows"}, "201": {"description": "Made."}}
    docs = read_api_docs({"paths": {"/a": {"get": {"responses": responses}}}}, base_url="https://news.example.com")
    (operation,) = docs.groups[0].operations
    assert [answer.description for answer in operation.answers] == ["", "Made."]


def test_a_dangling_reference_is_named_and_not_followed() -> None:
    reader = SchemaReader({}, {})
    node = {"$ref": "#/components/schemas/Gone"}
    assert [part.text for part in reader.describe(node)] == ["Gone"]
    assert reader.properties(node) == ()
    assert reader.example(node) is None


_KEYS = st.sampled_from([
    "$ref", "type", "properties", "items", "allOf", "oneOf", "anyOf", "enum", "const", "default", "example", "examples",
    "required", "minLength", "additionalProperties", "format", "description", "schema", "content", "parameters", "name",
    "in", "get", "post", "responses", "requestBody", "200", "application/json", "security", "tags", "summary",
])  # fmt: skip
_LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8) | st.just("#/components/schemas/A")
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(paths=_JSON, schema=_JSON, security=_JSON, info=_JSON, tags=_JSON)
def test_no_document_makes_the_page_fail(
    pages: Pages, paths: object, schema: object, security: object, info: object, tags: object
) -> None:
    document = {
        "info": info,
        "tags": tags,
        "security": security,
        "paths": {"/things/{id}": paths, "/others": {"get": paths, "post": schema}},
        "components": {"schemas": {"A": schema, "B": paths}, "securitySchemes": {"key": security}},
    }
    docs = read_api_docs(document, base_url="https://news.example.com")
    assert "/others" in pages.render(DocsPage(docs=docs)) or not docs.groups
