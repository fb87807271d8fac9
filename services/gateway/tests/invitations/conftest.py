"""An installation with one owner, in which nobody was invited yet."""

import pytest

from ..conftest import Gateway
from .inviting import Owner, owner_of


@pytest.fixture
async def owner(gateway: Gateway) -> Owner:
    gateway.sql("DELETE FROM delivery.single_mail")
    return await owner_of(gateway)
