"""Completes the operations of the merged document: words, the scope each needs, examples, the gateway's own answers,
headers, and links to what follows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broadsheet_common.api_document.description import BY_NEWSLETTER_MEMBER, SCOPES_MEMBER
from broadsheet_common.http.problems import (
    PROBLEM_MEDIA_TYPE,
    BodyTooLargeError,
    ForbiddenError,
    InternalError,
    MalformedRequestError,
    ProblemError,
    RequestTimeoutError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    example_of,
)
from broadsheet_gateway.api_docs.deprecations import DEPRECATIONS
from broadsheet_gateway.api_docs.examples import ExampleMaker
from broadsheet_gateway.api_docs.words import OperationWords, Words
from broadsheet_gateway.forwarding.upstreams import UpstreamTimeoutError
from broadsheet_gateway.http.csrf import CrossSiteRequestError, CsrfTokenError

METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
PROBLEM_TYPES_MEMBER = "x-problem-types"
"""An operation's member: every problem `type` that it can answer."""

Document = dict[str, Any]

_PARAMETER = re.compile(r"\{[^}]+\}")
_NO_WORDS = OperationWords()
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_JSON = "application/json"
_FIRST_ERROR = "400"

_ALWAYS: tuple[type[ProblemError], ...] = (
    MalformedRequestError,
    UnauthenticatedError,
    ForbiddenError,
    TooManyRequestsError,
    InternalError,
    UnavailableError,
    UpstreamTimeoutError,
)
"""What the gateway may answer instead of a service."""
_TO_A_CHANGE: tuple[type[ProblemError], ...] = (
    CrossSiteRequestError,
    CsrfTokenError,
    RequestTimeoutError,
    BodyTooLargeError,
    UnsupportedMediaTypeError,
)
"""The same, for methods that may have a body."""

_HEADERS: Mapping[str, Document] = {
    "RateLimit-Policy": {
        "description": "The limits that hold: each with its name, how many requests (`q`), in how many seconds (`w`)",
        "schema": {"type": "string"},
        "example": '"api";q=6000;w=60, "read";q=6000;w=60',
    },
    "RateLimit": {
        "description": "What is left of each: requests (`r`), and the seconds until it is full again (`t`)",
        "schema": {"type": "string"},
        "example": '"api";r=5999;t=1, "read";r=5999;t=1',
    },
    "Retry-After": {
        "description": "Come back after so many seconds",
        "schema": {"type": "integer"},
        "example": 5,
    },
}
_SAYS_WHEN = frozenset({"429", "503"})


def describe_operations(document: Document, words: Words) -> None:
    """Change the document in place."""
    maker = ExampleMaker(document["components"]["schemas"], words.values)
    problems: Document = {}
    paths = document["paths"]
    shown: Document = {}
    refusals: Document = {}
    for method, path, operation in operations_of(document):
        said = words.operations.get(operation.get("operationId", ""), _NO_WORDS)
        _add_words_and_scope(operation, said)
        if f"{method.upper()} {_PARAMETER.sub('{id}', path)}" in _deprecated():
            operation["deprecated"] = True
        _add_gateway_answers(operation, may_have_body=method not in {"get", "head"})
        _add_request_example(operation, said)
        for status, answer in operation["responses"].items():
            if status < _FIRST_ERROR:
                _add_answer_example(answer, said, maker, shown)
            answer["headers"] = {**answer.get("headers", {}), **_limit_headers(status)}
        operation[PROBLEM_TYPES_MEMBER] = _collect_problems(operation, problems)
        _collect_refusals(operation, refusals)
        _add_links(operation, path, paths)
    document["components"]["headers"] = dict(_HEADERS)
    document["components"]["responses"] = dict(sorted(refusals.items()))
    document["components"]["examples"] = dict(sorted(problems.items())) | dict(sorted(shown.items()))


def _deprecated() -> set[str]:
    """The table of deprecations, whatever its parameters are called."""
    return {_PARAMETER.sub("{id}", key) for key in DEPRECATIONS}


def operations_of(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Method, path and operation of each."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method, path, operation


def _add_words_and_scope(operation: Document, said: OperationWords) -> None:
    scopes = operation.get(SCOPES_MEMBER, [])
    named = " and ".join(f"`{scope}`" for scope in scopes)
    limits = "; a key for some newsletters may use it for these" if operation.get(BY_NEWSLETTER_MEMBER) else ""
    needs = f"Needs the scope {named}{limits}." if scopes else ""
    own = operation.get("description") or said.description
    operation["description"] = "\n\n".join(part for part in (own, needs) if part)
    operation["security"] = [{"api_key": list(scopes)}, {"session": list(scopes)}]
    if operation.get("deprecated") is False:
        del operation["deprecated"]


def _add_gateway_answers(operation: Document, *, may_have_body: bool) -> None:
    answers = operation.setdefault("responses", {})
    for error in (*_ALWAYS, *(_TO_A_CHANGE if may_have_body else ())):
        answer = answers.setdefault(str(error.status), {"description": ""})
        content = answer.setdefault("content", {}).setdefault(PROBLEM_MEDIA_TYPE, {"schema": _PROBLEM})
        examples = content.setdefault("examples", {})
        if error.slug not in examples:
            examples[error.slug] = {"summary": error.title, "value": example_of(error)}
            words = f"{error.title} (`{error.slug}`)"
            answer["description"] = f"{answer['description']}; or {words}" if answer["description"] else words
    operation["responses"] = dict(sorted(answers.items()))


def _add_request_example(operation: Document, said: OperationWords) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if not said.request or not content:
        return
    first = next(iter(content))
    content[first].setdefault("example", msgspec.json.decode(said.request) if first == _JSON else said.request)


def _add_answer_example(answer: Document, said: OperationWords, maker: ExampleMaker, shown: Document) -> None:
    """An example of a named schema stands in the components, once."""
    for media_type, content in answer.get("content", {}).items():
        schema = content.get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        if said.answer:
            content["example"] = msgspec.json.decode(said.answer) if media_type == _JSON else said.answer
        elif name:
            if name not in shown:
                shown[name] = {"summary": name, "value": maker.make(schema)}
            content["examples"] = {name: {"$ref": f"#/components/examples/{name}"}}
        else:
            content["example"] = maker.make(schema)


def _limit_headers(status: str) -> Document:
    names = ("RateLimit-Policy", "RateLimit", *(("Retry-After",) if status in _SAYS_WHEN else ()))
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _collect_problems(operation: Document, problems: Document) -> list[str]:
    """Move the examples of problems to the components, where each stands once; returns the operation's types."""
    types = set()
    for answer in operation["responses"].values():
        for example in answer.get("content", {}).get(PROBLEM_MEDIA_TYPE, {}).get("examples", {}).items():
            slug, problem = example
            types.add(problem["value"]["type"])
            name, number = slug, 1
            while problems.setdefault(name, problem) != problem:
                number += 1
                name = f"{slug}.{number}"
            answer["content"][PROBLEM_MEDIA_TYPE]["examples"][slug] = {"$ref": f"#/components/examples/{name}"}
    return sorted(types)


def _collect_refusals(operation: Document, refusals: Document) -> None:
    """Move the answers with problems to the components: most operations share theirs."""
    for status, answer in operation["responses"].items():
        if status >= _FIRST_ERROR and PROBLEM_MEDIA_TYPE in answer.get("content", {}):
            slugs = answer["content"][PROBLEM_MEDIA_TYPE]["examples"]
            name, number = f"{status}-{'.'.join(sorted(slugs))}", 1
            while refusals.setdefault(name, answer) != answer:
                number += 1
                name = f"{status}-{'.'.join(sorted(slugs))}.{number}"
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _add_links(operation: Document, path: str, paths: Document) -> None:
    """From what was created to reading it, and from a page to the next one."""
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    links: Document = {}
    if "cursor" in parameters:
        links["nextPage"] = {
            "operationId": operation["operationId"],
            "parameters": {"cursor": "$response.body#/next_cursor"},
            "description": "The next page, unless `next_cursor` is null",
        }
    item = re.compile(re.escape(path) + r"/\{(\w+)\}")
    for other, methods in paths.items():
        found = item.fullmatch(other)
        if found is not None and "get" in methods and "201" in operation["responses"]:
            links[methods["get"]["operationId"]] = {
                "operationId": methods["get"]["operationId"],
                "parameters": {found[1]: "$response.body#/id"},
                "description": "What was created",
            }
    if not links:
        return
    for status, answer in operation["responses"].items():
        if status < _FIRST_ERROR and _JSON in answer.get("content", {}):
            answer["links"] = links
