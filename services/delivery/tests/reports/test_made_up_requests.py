"""Made-up requests to the routes of reports, by their own OpenAPI document: none is answered with a fault of ours."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import requests
from schemathesis import Case, GenerationMode

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_delivery.app import create_app
from harness.cluster import Cluster
from harness.delivering import delivery_settings
from harness.http.awkward import ESCAPED_TEXTS
from harness.http.made_up import (
    TIMEOUT_S,
    draws_at_random_elsewhere,
    judge_answer,
    made_up_settings,
    new_session,
    operations_of,
    schema_of,
)
from harness.http.served_app import serving_app
from harness.http.service_documents import service_documents
from harness.keys import identity_keys, scopes
from harness.seeding import Seed

from .naive_report import Told
from .world import NOON, store_events

EXAMPLES: Final = 12
PATHS: Final = (
    "/api/v1/issues/{issue_id}/report",
    "/api/v1/issues/{issue_id}/report/csv",
    "/api/v1/newsletters/{newsletter_id}/engagement",
    "/api/v1/newsletters/{newsletter_id}/engagement/csv",
)
SCHEMA: Final = schema_of(service_documents()["delivery"], examples=EXAMPLES).include(
    path_regex="/(report|engagement)(/csv)?$"
)

pytestmark = draws_at_random_elsewhere


class Served(msgspec.Struct, frozen=True):
    """`there`: the ids, by their names in a path, of an issue that was sent and opened, and of its newsletter."""

    base_url: str
    there: dict[str, int]

    def headers(self) -> dict[str, str]:
        identity = Identity("key:1", scopes("read"))
        return {IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(identity, "delivery")}


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[Served]:
    with cluster.database() as database, Seed.connect(database) as seed:
        people = seed.subscribers(2)
        issue_id = seed.published_issue(people)
        store_events(seed, issue_id, people, Told("Delivery", 1, NOON), Told("Open", 1, NOON))
        app = create_app(delivery_settings(database, "http://127.0.0.1:1", "nobody"), sends=False)
        with serving_app(app) as port:
            yield Served(f"http://127.0.0.1:{port}", {"issue_id": issue_id, "newsletter_id": 1})


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


@SCHEMA.parametrize()
@made_up_settings
def test_what_the_document_allows_or_forbids_is_no_fault_of_ours(
    case: "Case[Any]", served: Served, session: requests.Session
) -> None:
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.path_parameters.update({name: served.there[name] for name in case.path_parameters})
    answer = case.call(base_url=served.base_url, session=session, headers=served.headers(), timeout=TIMEOUT_S)
    judge_answer(case, answer)


@pytest.mark.parametrize("path", PATHS)
def test_a_report_that_is_there_is_given_and_an_awkward_number_is_none(
    path: str, served: Served, session: requests.Session
) -> None:
    name = path.partition("{")[2].partition("}")[0]

    def ask(escaped: str) -> requests.Response:
        url = served.base_url + path.replace("{" + name + "}", escaped)
        return session.get(url, headers=served.headers(), timeout=TIMEOUT_S)

    assert ask(str(served.there[name])).status_code == 200
    for escaped in ESCAPED_TEXTS:
        answer = ask(escaped)
        assert 400 <= answer.status_code < 500, (escaped, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_these_are_all_routes_of_reports() -> None:
    assert {found.path for found in operations_of(SCHEMA).values()} == set(PATHS)
