"""What tests with made-up requests have in common: how Schemathesis makes them of a document, and what it looks at."""

import os
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import APIOperation, BaseSchema, Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

Operation = APIOperation[Any, Any, Any, Any]
TIMEOUT_S: Final = 30.0
ASKED_FOR: Final = int(os.environ.get("BROADSHEET_FUZZ_EXAMPLES", "0"))
"""So many examples at random. Without it the same few each time: a test fails for what was changed, not by chance."""

made_up_settings = settings(deadline=None, suppress_health_check=list(HealthCheck))

# The service's own loops, in their thread, draw their waits at random while Hypothesis watches.
draws_at_random_elsewhere = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module inside strategies:hypothesis.errors.HypothesisDeprecationWarning"
)


def schema_of(document: dict[str, Any], *, examples: int, covers_bounds: bool = True) -> BaseSchema:
    """Requests at every bound that the document names, if `covers_bounds`, and `examples` more."""
    return schemathesis.openapi.from_dict(
        document,
        config=SchemathesisConfig.from_dict(
            {
                "generation": {"max-examples": examples, "deterministic": not ASKED_FOR},
                "phases": {"coverage": {"enabled": covers_bounds}, "fuzzing": {"enabled": True}},
            }
        ),
    )


def operations_of(schema: BaseSchema) -> dict[str, Operation]:
    """By label, such as `GET /api/v1/issues`."""
    operations = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), "an operation of the document is not one that Schemathesis understands"
        operations[found.ok().label] = found.ok()
    return operations


def new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def judge_answer(case: "Case[Any]", answer: Any) -> None:
    """It is no fault of the service's, and as the document says."""
    case.validate_response(answer, checks=[not_a_server_error, content_type_conformance, response_schema_conformance])


def judge_status_too(case: "Case[Any]", answer: Any) -> None:
    """As `judge_answer`, and the document names the answer's status for this operation."""
    judge_answer(case, answer)
    case.validate_response(answer, checks=[status_code_conformance])
