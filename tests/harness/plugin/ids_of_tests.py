"""Every test has an id of its own.

xdist tells its workers which tests to run by their ids: of several with one id, it runs one. Schemathesis names the
tests that it makes of a document by their operations, and since pytest 9.2 that name is not part of the id any more.
"""

from collections import Counter
from collections.abc import Sequence

import pytest
from _pytest.nodeid import coerce_node_id  # no public name
from schemathesis.pytest.plugin import SchemathesisFunction


def give_own_id(item: pytest.Item) -> None:
    """To a test that Schemathesis has made: its name with the operation's."""
    if isinstance(item, SchemathesisFunction) and item.parent is not None:
        item._id = coerce_node_id(f"{item.parent.nodeid}::{item.name}")  # nothing else sets it


def refuse_shared_ids(items: Sequence[pytest.Item]) -> None:
    """Raises UsageError: then no test runs, instead of only some of them."""
    shared = [nodeid for nodeid, times in Counter(item.nodeid for item in items).items() if times > 1]
    if shared:
        raise pytest.UsageError(f"several tests have the same id, and only one of them would run: {shared[:5]}")
