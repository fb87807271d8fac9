"""Roles add up, and a key can only take away from what its user may do."""

from typing import get_args

import pytest

from broadsheet_common.contracts.permissions import GRANTABLE, Permission
from broadsheet_gateway.access.rights import NO_RIGHTS, Grant, Rights, rights_of
from broadsheet_gateway.access.roles import ROLE_PERMISSIONS, Role

ADDRESSES: set[Permission] = {
    "subscribers:read", "subscribers:export", "personal-data:export", "consents:read", "imports:read",
    "deliveries:read", "suppressions:read", "issues:preview", "segments:read", "webhooks:read",
}  # fmt: skip


def test_every_role_has_its_permissions_and_only_owners_have_all() -> None:
    assert set(ROLE_PERMISSIONS) == set(get_args(Role))
    assert ROLE_PERMISSIONS["owner"] == GRANTABLE
    for role, permissions in ROLE_PERMISSIONS.items():
        assert "public" not in permissions
        assert role == "owner" or not permissions & {"users:write", "users:read", "audit:read", "subscribers:export"}


def test_an_analyst_sees_no_addresses_and_changes_nothing_but_own_keys() -> None:
    assert not ROLE_PERMISSIONS["analyst"] & ADDRESSES
    changing = {name for name in ROLE_PERMISSIONS["analyst"] if not name.endswith(":read")}
    assert changing == {"keys:write"}


def test_an_editor_writes_and_does_not_send_and_a_publisher_does_both() -> None:
    assert {"issues:publish", "issues:approve"} <= ROLE_PERMISSIONS["publisher"]
    assert not ROLE_PERMISSIONS["editor"] & {"issues:publish", "issues:approve", "subscribers:read"}
    assert ROLE_PERMISSIONS["editor"] < ROLE_PERMISSIONS["publisher"]


def test_without_a_role_nobody_may_do_anything() -> None:
    assert rights_of([]) == NO_RIGHTS
    assert NO_RIGHTS.anywhere == frozenset()


def test_roles_add_up() -> None:
    rights = rights_of([Grant("analyst"), Grant("editor", 3), Grant("support", 4)])
    assert rights.everywhere == ROLE_PERMISSIONS["analyst"]
    assert (3, "issues:write") in rights.limited
    assert (4, "issues:write") not in rights.limited
    assert (4, "subscribers:write") in rights.limited
    assert not {permission for _, permission in rights.limited} & rights.everywhere


def test_a_keys_scopes_only_take_away() -> None:
    rights = rights_of([Grant("analyst"), Grant("editor", 3)])
    key = rights.within(frozenset({"reports:read", "issues:write", "issues:publish"}), None)
    assert key == Rights(frozenset({"reports:read"}), frozenset({(3, "issues:write")}))


@pytest.mark.parametrize("newsletters", [[3], [3, 9]])
def test_a_key_for_some_newsletters_is_for_no_other(newsletters: list[int]) -> None:
    rights = rights_of([Grant("analyst"), Grant("editor", 3), Grant("editor", 4)])
    key = rights.within(frozenset({"reports:read", "issues:write"}), newsletters)
    assert key.everywhere == frozenset()
    assert key.limited == {(one, "reports:read") for one in newsletters} | {(3, "issues:write")}


def test_a_later_role_gives_a_key_what_its_scopes_name_and_a_lost_one_takes_it() -> None:
    scopes = frozenset[Permission]({"issues:publish"})
    assert rights_of([Grant("editor")]).within(scopes, None) == NO_RIGHTS
    assert rights_of([Grant("publisher")]).within(scopes, None).everywhere == scopes
