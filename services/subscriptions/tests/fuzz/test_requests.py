"""Made-up requests to every route of the service's own OpenAPI document: none is answered with a fault of ours.

In the first round Schemathesis makes them: what the document allows and what it does not, at every bound that it names
and at random. The second takes what the document allows, points it at what is there, so that it gets past "there is no
such thing", and puts in one thing that JSON, a query or a path allows and services trip over.

Without more said, the same few requests each time, so that a test fails for what was changed and not by chance;
BROADSHEET_FUZZ_EXAMPLES asks for so many at random, of each operation in each round.
"""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet

from harness.cluster import Cluster
from harness.http.awkward import AWKWARD_BYTES, ESCAPED_TEXTS, made_awkward, made_likely
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

from .likely import likely
from .served import Served, read_document, serving

EXAMPLES: Final = ASKED_FOR or 12
NOT_READ: Final = {400, 401, 403, 405, 415}
"""Answers that say nothing of what the service makes of a request."""

# A file to it as any other.
schemathesis.serializer.alias(
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/octet-stream"
)
SCHEMA: Final = schema_of(read_document(), examples=EXAMPLES)
OPERATIONS: Final = operations_of(SCHEMA)

pytestmark = draws_at_random_elsewhere


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Served]:
    with serving(cluster) as served:
        yield served


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


@pytest.fixture
def served(running: Served) -> Served:
    running.start_anew()
    return running


def test_the_document_that_is_fuzzed_is_the_one_that_is_served(running: Served, session: requests.Session) -> None:
    document = session.get(f"{running.base_url}/openapi.json", timeout=TIMEOUT_S).json()
    routes = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert routes == set(OPERATIONS)


@SCHEMA.parametrize()
@made_up_settings
def test_what_the_document_allows_or_forbids_is_no_fault_of_ours(
    case: "Case[Any]", served: Served, session: requests.Session
) -> None:
    answer = case.call(base_url=served.base_url, session=session, headers=served.headers(), timeout=TIMEOUT_S)
    judge_answer(case, answer)


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_what_is_awkward_is_no_fault_of_ours(label: str, served: Served, session: requests.Session) -> None:
    answered: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not ASKED_FOR,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        request = session.prepare_request(data.draw(_requests(OPERATIONS[label], served)))
        request.headers.update(served.headers())
        answer = session.send(request, timeout=TIMEOUT_S)
        assert answer.status_code < 500, (str(request.url)[:500], str(request.body)[:500], answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        answered.add(answer.status_code)

    ask()
    assert answered - NOT_READ, f"only {answered}: no request was one that the service could act on"
    assert session.get(f"{served.base_url}/health/ready", timeout=TIMEOUT_S).status_code == 200


@st.composite
def _requests(draw: st.DrawFn, operation: Operation, served: Served) -> requests.Request:
    case = draw(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    tokens = served.tokens_for(operation.path)

    def likely_there(key: str) -> tuple[Any, ...]:
        return likely(key, tokens)

    path = draw(made_likely(dict(case.path_parameters or {}), likely_there))
    query = draw(made_likely(dict(case.query or {}), likely_there))
    headers = draw(made_likely(dict(case.headers or {}), likely_there))
    escaped = {name: quote(str(value), safe="") for name, value in path.items()}
    pairs = [(name, quote(str(value), safe="")) for name, value in query.items()]
    awkward = draw(st.sampled_from(("nothing", "body", "query", "path")))
    content: bytes | None = None
    media_types = [one.media_type for one in operation.body]
    if media_types and "application/json" not in media_types:
        headers["Content-Type"] = draw(st.sampled_from(media_types))
        content = draw(AWKWARD_BYTES)
    elif not isinstance(case.body, NotSet):
        body = draw(made_likely(case.body, likely_there))
        content = draw(made_awkward(body)) if awkward == "body" else _encoded(body)
        headers["Content-Type"] = "application/json"
    if awkward == "path" and escaped:
        escaped[draw(st.sampled_from(sorted(escaped)))] = draw(st.sampled_from(ESCAPED_TEXTS))
    names = [one.name for one in operation.query]
    if awkward == "query" and names:
        pairs.append((draw(st.sampled_from(names)), draw(st.sampled_from(ESCAPED_TEXTS))))
    url = served.base_url + operation.path
    for name, value in escaped.items():
        url = url.replace("{" + name + "}", value)
    return requests.Request(
        operation.method.upper(),
        url + "".join(f"{'&' if number else '?'}{name}={value}" for number, (name, value) in enumerate(pairs)),
        data=content,
        headers=headers,
    )


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()
