"""Made-up requests to every route of the service's own OpenAPI document: none is answered with a fault of ours.

In the first round Schemathesis makes them: what the document allows and what it does not, at every bound that it names
and at random; those that it allows are about things that are there. The second begins with a request that succeeds, for
every operation, and puts one thing into it, or into what the document allows, that JSON, a query or a path allows and
services trip over.

Without more said, the same few requests each time, so that a test fails for what was changed and not by chance;
BROADSHEET_FUZZ_EXAMPLES asks for so many at random, of each operation in each round.
"""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet

from harness.cluster import Cluster
from harness.http.awkward import ESCAPED_TEXTS, made_awkward, made_likely
from harness.http.made_up import (
    ASKED_FOR,
    TIMEOUT_S,
    Operation,
    draws_at_random_elsewhere,
    judge_answer,
    made_up_settings,
    new_session,
    operations_of,
    schema_of,
)

from .good_requests import Good, good_requests, likely
from .served import Served, World, read_document, serving

EXAMPLES: Final = ASKED_FOR or 8
SUCCEEDED: Final = {200, 201, 202, 204}

SCHEMA: Final = schema_of(read_document(), examples=EXAMPLES)
OPERATIONS: Final = operations_of(SCHEMA)

pytestmark = draws_at_random_elsewhere


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[Served]:
    with serving(cluster) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


@pytest.fixture(scope="module")
def world_to_read(served: Served) -> World:
    """For what changes nothing."""
    return served.make_world()


@pytest.fixture
def world(request: pytest.FixtureRequest, served: Served, world_to_read: World) -> World:
    return world_to_read if "[GET " in request.node.name else served.make_world()


def test_the_document_that_is_fuzzed_is_the_one_that_is_served(served: Served, session: requests.Session) -> None:
    document = session.get(f"{served.base_url}/openapi.json", timeout=TIMEOUT_S).json()
    routes = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert routes == set(OPERATIONS)


def test_there_is_a_request_that_succeeds_for_every_operation(world_to_read: World) -> None:
    assert set(good_requests(world_to_read)) == set(OPERATIONS)


@SCHEMA.parametrize()
@made_up_settings
def test_what_the_document_allows_or_forbids_is_no_fault_of_ours(
    case: "Case[Any]", served: Served, world: World, session: requests.Session
) -> None:
    good = good_requests(world)[case.operation.label]
    headers = served.headers(good.subject)
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.path_parameters.update(good.path)
        headers |= good.headers
    answer = case.call(base_url=served.base_url, session=session, headers=headers, timeout=TIMEOUT_S)
    judge_answer(case, answer)


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_what_is_awkward_is_no_fault_of_ours(
    label: str, served: Served, world: World, session: requests.Session
) -> None:
    good = good_requests(world)[label]
    headers = served.headers(good.subject)
    first = _send(session, _request(served, OPERATIONS[label], good), headers)
    assert first.status_code in SUCCEEDED, first.text

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not ASKED_FOR,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        request = data.draw(_requests(OPERATIONS[label], served, world, good))
        answer = _send(session, request, headers)
        assert answer.status_code < 500, (str(request.url)[:500], str(request.data)[:500], answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"

    ask()
    assert session.get(f"{served.base_url}/health/ready", timeout=TIMEOUT_S).status_code == 200


@st.composite
def _requests(draw: st.DrawFn, operation: Operation, served: Served, world: World, good: Good) -> requests.Request:
    """The request that succeeds or one that the document allows, with one thing in it made awkward, or none."""
    wanted = good
    if draw(st.booleans()):
        case = draw(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))

        def likely_there(key: str) -> tuple[Any, ...]:
            return likely(key, world)

        wanted = Good(
            path=draw(made_likely(dict(case.path_parameters or {}), likely_there)),
            query=draw(made_likely(dict(case.query or {}), likely_there)),
            headers=draw(made_likely(dict(case.headers or {}), likely_there)),
            body=None if isinstance(case.body, NotSet) else draw(made_likely(case.body, likely_there)),
        )
    awkward = draw(st.sampled_from(("nothing", "body", "query", "path")))
    content = draw(made_awkward(wanted.body)) if awkward == "body" and wanted.body is not None else None
    escaped: dict[str, str] = {}
    if awkward == "path" and wanted.path:
        escaped[draw(st.sampled_from(sorted(wanted.path)))] = draw(st.sampled_from(ESCAPED_TEXTS))
    query = ""
    names = [one.name for one in operation.query]
    if awkward == "query" and names:
        query = f"{draw(st.sampled_from(names))}={draw(st.sampled_from(ESCAPED_TEXTS))}"
    return _request(served, operation, wanted, content=content, escaped=escaped, query=query)


def _request(
    served: Served,
    operation: Operation,
    wanted: Good,
    *,
    content: bytes | None = None,
    escaped: dict[str, str] | None = None,
    query: str = "",
) -> requests.Request:
    """`content`, `escaped` and `query` as they are to stand in the request: in place of the body and of parameters of
    the path, and beside the query.
    """
    url = served.base_url + operation.path
    for name, value in (
        {name: quote(str(value), safe="") for name, value in wanted.path.items()} | (escaped or {})
    ).items():
        url = url.replace("{" + name + "}", value)
    pairs = [f"{name}={quote(str(value), safe='')}" for name, value in wanted.query.items()] + (
        [query] if query else []
    )
    headers = dict(wanted.headers)
    if content is None and wanted.body is not None:
        content = json.dumps(wanted.body).encode()
    if content is not None:
        headers["Content-Type"] = "application/json"
    return requests.Request(
        operation.method.upper(), url + ("?" + "&".join(pairs) if pairs else ""), data=content, headers=headers
    )


def _send(session: requests.Session, request: requests.Request, headers: dict[str, str]) -> requests.Response:
    prepared = session.prepare_request(request)
    prepared.headers.update(headers)
    return session.send(prepared, timeout=TIMEOUT_S)
