"""What the tests of imports share."""

import pytest

from ..conftest import Subscriptions
from ..importing import Importing


@pytest.fixture
def importing(subscriptions: Subscriptions) -> Importing:
    return Importing(subscriptions)
