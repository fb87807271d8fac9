"""Permissions by name and group; rights that are held for some newsletters only."""

import pytest

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import EARLIER_SCOPES, GRANTABLE, SCOPE_GROUPS, parse_permissions
from broadsheet_common.http.problems import ForbiddenError


def test_every_permission_is_in_a_group_or_is_asked_for_by_name() -> None:
    grouped = SCOPE_GROUPS["read"] | SCOPE_GROUPS["write"] | SCOPE_GROUPS["admin"]
    assert GRANTABLE - grouped == {"consents:read", "subscribers:export", "personal-data:export"}


def test_the_earlier_scopes_together_allow_everything_that_can_be_granted() -> None:
    assert EARLIER_SCOPES["read"] | EARLIER_SCOPES["write"] | EARLIER_SCOPES["admin"] == GRANTABLE
    assert not any(name.endswith((":write", ":publish", ":erase")) for name in EARLIER_SCOPES["read"])


@pytest.mark.parametrize("name", ["public", "issues:delete", ""])
def test_what_cannot_be_granted_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no scope"):
        parse_permissions(["issues:read", name])


def test_a_right_for_some_newsletters_is_none_for_others() -> None:
    identity = Identity("user:1", frozenset({"reports:read"}), frozenset({(3, "issues:read"), (4, "issues:read")}))
    assert identity.newsletters_with("reports:read") is None
    assert identity.newsletters_with("issues:read") == frozenset({3, 4})
    assert identity.newsletters_with("issues:write") == frozenset()
    identity.require_for("issues:read", 3)
    identity.require_for("reports:read", 5)
    with pytest.raises(ForbiddenError):
        identity.require_for("issues:read", 5)


def test_two_keys_of_one_user_are_one_person() -> None:
    keys = [Identity(f"key:{n}", frozenset(), user="user:7") for n in (1, 2)]
    assert {key.person for key in keys} == {"user:7"}
    assert Identity("key:3", frozenset()).person == "key:3"
