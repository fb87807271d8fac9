"""A test that shares its id with another one would not run with `-n`: such a run is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.plugin.ids_of_tests import refuse_shared_ids


def items(*ids: str) -> Any:
    return [SimpleNamespace(nodeid=one) for one in ids]


def test_tests_of_one_id_are_refused_by_name() -> None:
    refuse_shared_ids(items("a::one", "a::two", "b::one"))
    with pytest.raises(pytest.UsageError, match="a::two"):
        refuse_shared_ids(items("a::one", "a::two", "a::two"))


def test_this_runs_tests_have_been_looked_at(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("harness.plugin.fixtures")
    ids = [item.nodeid for item in request.session.items]
    assert len(ids) == len(set(ids))
