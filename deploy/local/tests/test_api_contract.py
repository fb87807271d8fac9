"""`check-api`: every rule finds its fault, and every kind of breaking change is found in a request and in an answer."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broadsheet_local.api_contract.breaking_changes import Breaking, find_breaking_changes
from broadsheet_local.api_contract.check_api import (
    DECLARED,
    RELEASED,
    Declared,
    check_api,
    encode,
    judge,
    read_declared,
)
from broadsheet_local.api_contract.merged_document import merged_document
from broadsheet_local.api_contract.rules import find_faults
from broadsheet_local.errors import LaunchError

ROOT = Path(__file__).resolve().parents[3]
Document = dict[str, Any]
Change = Callable[[Document], object]


@pytest.fixture(scope="module", name="whole")
def the_whole_document() -> Document:
    return merged_document()


# --- rules -------------------------------------------------------------------------------------------------------


def _create(document: Document) -> Any:
    return document["paths"]["/api/v1/subscribers"]["post"]


def _schemas(document: Document) -> Any:
    return document["components"]["schemas"]


def _examples(document: Document) -> Any:
    return document["components"]["examples"]


RULES: tuple[tuple[Change, str], ...] = (
    (lambda d: _create(d).pop("operationId"), "no name that a person would give"),
    (lambda d: _create(d).update(operationId="listSubscribers"), "stands twice"),
    (lambda d: _create(d).update(summary=""), "the summary is missing"),
    (lambda d: _create(d).update(description="Needs the scope `write`."), "there is no description"),
    (lambda d: _create(d).update(tags=[]), "it needs one tag"),
    (lambda d: _create(d).update(tags=["Nothing known"]), "has no description"),
    (lambda d: _create(d).update(security=[{"api_key": []}]), "no guard names the scope"),
    (lambda d: _create(d)["requestBody"]["content"]["application/json"].pop("example"), "the request has no example"),
    (
        lambda d: _create(d)["requestBody"]["content"]["application/json"].update(example={"email": 1, "name": "A"}),
        "the request's example: it does not fit",
    ),
    (lambda d: _create(d)["responses"]["201"]["content"]["application/json"].pop("examples"), "it has no example"),
    (lambda d: _examples(d)["Subscriber"]["value"].pop("email"), "it does not fit its schema"),
    (lambda d: _create(d)["responses"].pop("429"), "the answer 429 is not documented"),
    (lambda d: _create(d)["responses"].pop("415"), "408, 413 or 415 is not documented"),
    (lambda d: _create(d)["responses"]["201"].update(description=""), "has no description"),
    (lambda d: _create(d)["responses"]["201"].pop("headers"), "has no `RateLimit`"),
    (
        lambda d: _create(d)["responses"].update({"404": {"description": "x", "headers": {"RateLimit": {}}}}),
        "no problem",
    ),
    (lambda d: _create(d)["x-problem-types"].pop(), "`x-problem-types` does not name"),
    (lambda d: _schemas(d).update({"Page_a.b.C_": {}}), "has no plain name"),
    (lambda d: _schemas(d).update(Empty={"type": "object"}), "an object without members"),
    (
        lambda d: _schemas(d)["Subscriber"]["properties"].update(more={"type": "object", "additionalProperties": {}}),
        "may hold anything",
    ),
)


def test_the_document_keeps_every_rule(whole: Document) -> None:
    assert find_faults(whole) == []


@pytest.mark.parametrize(("change", "said"), RULES, ids=range(len(RULES)))
def test_a_broken_rule_is_found(whole: Document, change: Change, said: str) -> None:
    document = copy.deepcopy(whole)
    change(document)
    assert any(said in fault for fault in find_faults(document)), find_faults(document)


# --- breaking changes --------------------------------------------------------------------------------------------

MEMBERS: dict[str, Any] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^a"},
    "kind": {"type": "string", "enum": ["a", "b"]},
    "count": {"oneOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1, "maximum": 5},
    "at": {"type": "string", "format": "date-time"},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    "values": {"type": "object", "additionalProperties": {"type": "integer"}},
    "inner": {"$ref": "#/components/schemas/Inner"},
}


def small() -> Document:
    """One operation each way; `Thing` goes in and `Shown` comes out, with the same members."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}, "text/csv": {"schema": {}}}
    shown = {"application/json": {"schema": {"$ref": "#/components/schemas/Shown"}}, "text/csv": {"schema": {}}}
    inner = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
    again = {"again": {"$ref": "#/components/schemas/Shown"}}
    document = {
        "paths": {
            "/things": {
                "post": {
                    "operationId": "createThing",
                    "security": [{"api_key": ["write"]}],
                    "parameters": [
                        {"name": "dry", "in": "query", "required": False, "schema": {"type": "boolean"}},
                        {"name": "mode", "in": "query", "schema": {"type": "string", "enum": ["x", "y"]}},
                    ],
                    "requestBody": {"required": False, "content": content},
                    "responses": {"201": {"description": "", "content": shown}, "404": {"description": ""}},
                }
            }
        },
        "components": {
            "schemas": {
                "Thing": {"type": "object", "required": ["name"], "properties": MEMBERS},
                "Shown": {"type": "object", "required": ["name", "kind"], "properties": {**MEMBERS, **again}},
                "Inner": inner,
                "InnerIn": inner,
            }
        },
    }
    parsed: Document = msgspec.json.decode(msgspec.json.encode(document))
    return parsed


def _thing(document: Document) -> Any:
    return document["components"]["schemas"]["Thing"]["properties"]


def _shown(document: Document) -> Any:
    return document["components"]["schemas"]["Shown"]["properties"]


def _op(document: Document) -> Any:
    return document["paths"]["/things"]["post"]


OP, IN, OUT = "POST /things", "POST /things request", "POST /things 201"
BREAKS: tuple[tuple[Change, tuple[str, str]], ...] = (
    (lambda d: d["paths"].pop("/things"), (OP, "operation-removed")),
    (lambda d: d["paths"]["/things"].pop("post"), (OP, "operation-removed")),
    (lambda d: _op(d).update(operationId="makeThing"), (OP, "operation-renamed")),
    (lambda d: _op(d).update(security=[{"api_key": ["write", "admin"]}]), (OP, "scope-added")),
    (lambda d: _op(d)["parameters"].pop(), (f"{OP} parameter query mode", "parameter-removed")),
    (lambda d: _op(d)["parameters"][0].update(required=True), (f"{OP} parameter query dry", "required-added")),
    (
        lambda d: _op(d)["parameters"].append({"name": "new", "in": "header", "required": True, "schema": {}}),
        (f"{OP} parameter header new", "required-added"),
    ),
    (
        lambda d: _op(d)["parameters"][1].update(schema={"type": "string", "enum": ["x"]}),
        (f"{OP} parameter query mode", "enum-narrowed"),
    ),
    (lambda d: _op(d)["requestBody"].update(required=True), (IN, "required-added")),
    (lambda d: _op(d)["requestBody"]["content"].pop("text/csv"), (IN, "media-type-removed")),
    (lambda d: _op(d).pop("requestBody"), (IN, "media-type-removed")),
    (lambda d: _op(d)["responses"].pop("201"), (OUT, "answer-removed")),
    (lambda d: _op(d)["responses"].update({"200": {"description": ""}}), ("POST /things 200", "answer-added")),
    (lambda d: _op(d)["responses"]["201"]["content"].pop("text/csv"), (OUT, "media-type-removed")),
    # What goes in: narrower is breaking.
    (lambda d: d["components"]["schemas"]["Thing"]["required"].append("kind"), (f"{IN}.kind", "required-added")),
    (lambda d: _thing(d).pop("kind"), (f"{IN}.kind", "property-removed")),
    (lambda d: _thing(d)["name"].update(type="integer"), (f"{IN}.name", "type-narrowed")),
    (lambda d: _thing(d)["kind"].update(enum=["a"]), (f"{IN}.kind", "enum-narrowed")),
    (lambda d: _thing(d)["name"].update(enum=["a"]), (f"{IN}.name", "enum-narrowed")),
    (lambda d: _thing(d)["name"].update(maxLength=9), (f"{IN}.name", "bound-narrowed")),
    (lambda d: _thing(d)["name"].update(minLength=2), (f"{IN}.name", "bound-narrowed")),
    (lambda d: _thing(d)["count"].update(minimum=2), (f"{IN}.count", "bound-narrowed")),
    (lambda d: _thing(d)["name"].update(pattern="^b"), (f"{IN}.name", "pattern-narrowed")),
    (lambda d: _thing(d)["at"].update(format="date"), (f"{IN}.at", "format-narrowed")),
    (lambda d: _thing(d).update(count={"type": "integer"}), (f"{IN}.count", "type-narrowed")),
    (lambda d: _thing(d)["tags"].update(items={"type": "integer"}), (f"{IN}.tags[]", "type-narrowed")),
    (lambda d: _thing(d)["tags"].update(uniqueItems=True), (f"{IN}.tags", "bound-narrowed")),
    (
        lambda d: _thing(d)["values"].update(additionalProperties={"type": "string"}),
        (f"{IN}.values.*", "type-narrowed"),
    ),
    (
        lambda d: d["components"]["schemas"]["Thing"].update(additionalProperties=False),
        (IN, "closed-narrowed"),
    ),
    (
        lambda d: d["components"]["schemas"]["Inner"]["required"].append("y"),
        (f"{IN}.inner.y", "required-added"),
    ),
    # What comes out: wider is breaking.
    (lambda d: d["components"]["schemas"]["Shown"]["required"].remove("kind"), (f"{OUT}.kind", "no-longer-sure")),
    (lambda d: _shown(d).pop("tags"), (f"{OUT}.tags", "property-removed")),
    (lambda d: _shown(d)["kind"].update(enum=["a", "b", "c"]), (f"{OUT}.kind", "enum-widened")),
    (lambda d: _shown(d)["kind"].pop("enum"), (f"{OUT}.kind", "enum-widened")),
    (
        lambda d: _shown(d).update(kind={"type": ["string", "null"], "enum": ["a", "b", None]}),
        (f"{OUT}.kind", "type-widened"),
    ),
    (lambda d: _shown(d)["count"].update(maximum=6), (f"{OUT}.count", "bound-widened")),
    (lambda d: _shown(d)["at"].pop("format"), (f"{OUT}.at", "format-widened")),
    (lambda d: _shown(d)["name"].pop("pattern"), (f"{OUT}.name", "pattern-widened")),
    (lambda d: _shown(d)["tags"].update(items={"type": "number"}), (f"{OUT}.tags[]", "type-widened")),
    (lambda d: d["components"]["schemas"]["Inner"]["properties"].pop("x"), (f"{OUT}.inner.x", "property-removed")),
)

HARMLESS: tuple[Change, ...] = (
    lambda d: d["paths"].update({"/more": copy.deepcopy(d["paths"]["/things"])}),
    lambda d: d["paths"]["/things"].update(get={**_op(d), "operationId": "getThing"}),
    lambda d: _op(d).update(security=[{"api_key": []}]),
    lambda d: _op(d)["parameters"].append({"name": "new", "in": "query", "schema": {"type": "string"}}),
    lambda d: _op(d)["responses"].update({"409": {"description": ""}}),
    lambda d: _op(d)["responses"].pop("404"),
    lambda d: _op(d)["responses"]["201"]["content"].update({"application/jsonl": {"schema": {}}}),
    lambda d: _thing(d).update(more={"type": "string"}),
    lambda d: d["components"]["schemas"]["Thing"]["required"].remove("name"),
    lambda d: _thing(d)["kind"].update(enum=["a", "b", "c"]),
    lambda d: _thing(d)["name"].update(maxLength=11, minLength=0),
    lambda d: _thing(d).update(at={"oneOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
    lambda d: _shown(d).update(more={"type": "string"}),
    lambda d: _shown(d)["kind"].update(enum=["a"]),
    lambda d: _shown(d).update(count={"type": "integer", "minimum": 2, "maximum": 4}),
    lambda d: d["components"]["schemas"]["Shown"]["required"].append("at"),
    lambda d: _shown(d)["name"].update(description="Other words", examples=["a"]),
)


def test_a_document_breaks_nobody_by_itself(whole: Document) -> None:
    assert find_breaking_changes(small(), small()) == []
    assert find_breaking_changes(whole, whole) == []


@pytest.mark.parametrize(("change", "found"), BREAKS, ids=range(len(BREAKS)))
def test_a_breaking_change_is_found(change: Change, found: tuple[str, str]) -> None:
    document = small()
    change(document)
    assert found in {(one.where, one.kind) for one in find_breaking_changes(small(), document)}


@pytest.mark.parametrize("change", HARMLESS, ids=range(len(HARMLESS)))
def test_what_breaks_nobody_is_no_finding(change: Change) -> None:
    document = small()
    change(document)
    assert document != small()
    assert find_breaking_changes(small(), document) == []


# --- the command -------------------------------------------------------------------------------------------------


def test_a_change_that_is_not_declared_fails_and_so_does_a_declaration_of_nothing() -> None:
    changes = [Breaking("POST /a", "operation-removed"), Breaking("POST /b", "scope-added", "admin")]
    declared = [Declared("POST /a", "operation-removed", "Nobody used it."), Declared("POST /c", "enum-widened", "x")]
    assert judge(changes, declared) == [
        "POST /b: scope-added admin",
        "POST /c: enum-widened is declared, and is not so",
    ]


def test_the_check_names_what_would_break(tmp_path: Path, whole: Document) -> None:
    released = copy.deepcopy(whole)
    released["paths"]["/api/v1/gone"] = {"get": released["paths"]["/api/v1/subscribers"]["get"]}
    (tmp_path / RELEASED).write_bytes(encode(released))
    with pytest.raises(LaunchError, match="GET /api/v1/gone: operation-removed"):
        check_api(lambda _: None, folder=tmp_path)
    (tmp_path / DECLARED).write_text(
        '[[change]]\nwhere = "GET /api/v1/gone"\nkind = "operation-removed"\nreason = "Never announced."\n'
    )
    assert check_api(lambda _: None, folder=tmp_path) == 0


def test_a_release_is_written_only_when_all_is_well(tmp_path: Path, whole: Document) -> None:
    said: list[str] = []
    assert check_api(said.append, folder=tmp_path, release=True) == 0
    assert msgspec.json.decode((tmp_path / RELEASED).read_bytes()) == msgspec.json.decode(msgspec.json.encode(whole))


def test_a_declaration_without_a_reason_is_refused(tmp_path: Path) -> None:
    (tmp_path / DECLARED).write_text('[[change]]\nwhere = "GET /a"\nkind = "operation-removed"\n')
    with pytest.raises(msgspec.ValidationError):
        read_declared(tmp_path / DECLARED)


def test_no_client_of_the_released_document_breaks_unannounced() -> None:
    assert check_api(lambda _: None, folder=ROOT / "docs/api") == 0
