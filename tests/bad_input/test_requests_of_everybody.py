"""Made-up requests to every operation of the API's document, through the gateway, by every role and by nobody.

None is answered with a fault of ours, and every answer is one that the document names for the operation: its status,
its media type, its shape. Who may not do something is told so, whatever the request is about.

The services' own tests make up far more requests for each operation; here the same few are made by everybody.
BROADSHEET_FUZZ_EXAMPLES asks for so many of each operation.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast, get_args

import pytest
import requests
from schemathesis import Case, GenerationMode

from broadsheet_gateway.access.roles import ROLE_PERMISSIONS, Role
from broadsheet_gateway.forwarding.route_table import STREAM_ROUTES
from harness.cluster import Cluster
from harness.http.made_up import (
    ASKED_FOR,
    TIMEOUT_S,
    draws_at_random_elsewhere,
    judge_status_too,
    made_up_settings,
    new_session,
    operations_of,
    schema_of,
)
from harness.http.served_system import CALLERS, NOBODY, ServedSystem, serving_system

DOCUMENT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs/api/openapi.json").read_text(encoding="utf-8")
)
ENDLESS: Final = frozenset(STREAM_ROUTES)
"""Answers that do not end by themselves: `tests/api/test_event_streams.py` asks for them."""
FORBIDDEN: Final = {401, 403}
BEFORE_WHO: Final = {400, 405, 411, 413, 414, 415, 431}
"""What is wrong with a request before it is known whose it is: nobody needs credentials to be told."""

OF_OTHERS: Final = {"/api/v1/api-keys", "/api/v1/api-keys/{key_id}"}
"""One's own need one permission, those of others another one too."""

SCHEMA: Final = schema_of(
    {**DOCUMENT, "paths": {path: item for path, item in DOCUMENT["paths"].items() if path not in ENDLESS}},
    examples=ASKED_FOR or 3,
    covers_bounds=False,
)
OPERATIONS: Final = operations_of(SCHEMA)

pytestmark = draws_at_random_elsewhere


@pytest.fixture(scope="module")
def served(cluster: Cluster, redis_url: str) -> Iterator[ServedSystem]:
    with serving_system(cluster, redis_url) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


def test_the_document_is_the_one_that_is_served(served: ServedSystem, session: requests.Session) -> None:
    document = session.get(f"{served.base_url}/openapi.json", timeout=TIMEOUT_S).json()
    assert set(document["paths"]) == set(DOCUMENT["paths"])
    assert {label.partition(" ")[2] for label in OPERATIONS} == set(DOCUMENT["paths"]) - ENDLESS


def needed_by(case: "Case[Any]") -> str:
    [scope] = DOCUMENT["paths"][case.operation.path][case.operation.method]["x-required-scopes"]
    return str(scope)


def may(caller: str, permission: str, path: str) -> bool | None:
    """None: it depends on what is asked for."""
    if caller == NOBODY or caller not in get_args(Role):
        return False if caller == NOBODY else None
    if permission not in ROLE_PERMISSIONS[cast("Role", caller)]:
        return False
    return None if path in OF_OTHERS else True


@SCHEMA.parametrize()
@made_up_settings
def test_every_answer_to_everybody_is_one_that_the_document_names(
    case: "Case[Any]", served: ServedSystem, session: requests.Session
) -> None:
    is_meant_right = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
    if is_meant_right:
        case.path_parameters.update(served.make_records(case.path_parameters))
    for caller in CALLERS:
        # It replaces what was made up for the credentials, and nothing else.
        headers = {"Authorization": "", **served.headers(caller)}
        answer = case.call(base_url=served.base_url, session=session, headers=headers, timeout=TIMEOUT_S)
        judge_status_too(case, answer)
        allowed = may(caller, needed_by(case), case.operation.path)
        if allowed is False:
            # Nothing is where a path has no id, for anybody.
            refusals = FORBIDDEN | BEFORE_WHO | (set() if is_meant_right else {404})
            assert answer.status_code in refusals, (caller, answer.text)
        elif allowed is True:
            assert answer.status_code not in FORBIDDEN, (caller, answer.text)
