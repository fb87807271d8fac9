"""Made-up requests to the routes of reports, by their own OpenAPI document: none is answered with a fault of ours."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_delivery.app import create_app
from harness.cluster import Cluster
from harness.delivering import delivery_settings
from harness.http.awkward import ESCAPED_TEXTS
from harness.http.served_app import serving_app
from harness.http.service_documents import service_documents
from harness.keys import identity_keys
from harness.seeding import Seed

from .naive_report import Told
from .world import NOON, store_events

EXAMPLES: Final = 12
TIMEOUT_S: Final = 30.0
PATHS: Final = (
    "/api/v1/issues/{issue_id}/report",
    "/api/v1/issues/{issue_id}/report/csv",
    "/api/v1/newsletters/{newsletter_id}/engagement",
    "/api/v1/newsletters/{newsletter_id}/engagement/csv",
)
SCHEMA: Final = schemathesis.openapi.from_dict(
    service_documents()["delivery"],
    config=SchemathesisConfig.from_dict(
        {
            "generation": {"max-examples": EXAMPLES, "deterministic": True},
            "phases": {"coverage": {"enabled": True}, "fuzzing": {"enabled": True}},
        }
    ),
).include(path_regex="/(report|engagement)(/csv)?$")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module inside strategies:hypothesis.errors.HypothesisDeprecationWarning"
)


class Served(msgspec.Struct, frozen=True):
    """`there`: the ids, by their names in a path, of an issue that was sent and opened, and of its newsletter."""

    base_url: str
    there: dict[str, int]

    def headers(self) -> dict[str, str]:
        identity = Identity("key:1", frozenset({"read"}))
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
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@SCHEMA.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_allows_or_forbids_is_no_fault_of_ours(
    case: "Case[Any]", served: Served, session: requests.Session
) -> None:
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.path_parameters.update({name: served.there[name] for name in case.path_parameters})
    answer = case.call(base_url=served.base_url, session=session, headers=served.headers(), timeout=TIMEOUT_S)
    case.validate_response(answer, checks=[not_a_server_error, content_type_conformance, response_schema_conformance])


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
    assert {found.ok().path for found in SCHEMA.get_all_operations() if isinstance(found, Ok)} == set(PATHS)
