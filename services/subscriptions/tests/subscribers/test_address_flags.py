"""Which addresses are flagged, and that a flag is a hint."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import AsyncTestClient

from broadsheet_common.contracts.identity import IdentityMinter
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.subscribers.address_flags import ADDRESS_FLAGS, flags_of, parse_flags
from harness.cluster import Database
from harness.keys import identity_keys

from ..conftest import Subscriptions, settings_for


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        ("ada@example.com", ()),
        ("Info@example.com", ("role",)),
        ("abuse+x@example.com", ("role",)),
        ("information@example.com", ()),
        ("ada@mailinator.com", ("disposable",)),
        ("ada@SUB.mailinator.com", ("disposable",)),
        ("info@mailinator.com", ("role", "disposable")),
        ("ada@my-mailinator.com", ()),
        ("ada@mailinator.com.example.org", ()),
        ("ada@gmail.com", ()),
    ],
)
def test_offices_and_disposable_domains_are_flagged(address: str, flags: tuple[str, ...]) -> None:
    assert flags_of(EmailAddress.parse(address)) == flags


@given(st.lists(st.sampled_from(ADDRESS_FLAGS)))
def test_flags_are_read_in_any_order_and_number(flags: list[str]) -> None:
    assert parse_flags(" , ".join(flags)) == set(flags)


@pytest.mark.parametrize("text", ["roles", "role disposable", "role,free"])
def test_a_flag_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="role, disposable"):
        parse_flags(text)


async def test_a_flagged_address_is_taken_and_the_api_shows_its_flags(subscriptions: Subscriptions) -> None:
    answer = await subscriptions.sign_up("info@mailinator.com")
    assert (answer.status_code, answer.json()) == (202, {})
    assert len(subscriptions.mails()) == 1
    [item] = (await subscriptions.get("", email="info@mailinator.com")).json()["items"]
    assert item["flags"] == ["role", "disposable"]
    created = await subscriptions.post("", {"email": "ada@example.com", "name": "Ada"})
    assert created.json()["flags"] == []


@pytest.fixture
async def strict(database: Database) -> AsyncIterator[Subscriptions]:
    """An installation that refuses what is disposable."""
    app = create_app(msgspec.structs.replace(settings_for(database), refused_address_flags="disposable"))
    async with AsyncTestClient(app) as client:
        yield Subscriptions(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)


async def test_where_a_setting_says_so_a_flagged_address_is_refused_at_the_form_with_its_reason(
    strict: Subscriptions,
) -> None:
    answer = await strict.sign_up("ada@mailinator.com")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/email"
    assert "only for a while" in error["detail"]
    assert strict.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]
    assert (await strict.sign_up("info@example.com")).status_code == 202
    # Whoever holds a key decides for themselves.
    assert (await strict.post("", {"email": "bob@mailinator.com", "name": "Bob"})).status_code == 201
