"""Which user names may be chosen."""

import pytest

from broadsheet_gateway.users.user import find_username_fault


@pytest.mark.parametrize(
    "name",
    ["grace", "Grace Hopper", "g.hopper_2-b+x", "O'Neill", "Jos\u00e9", "\u0418\u0440\u0438\u043d\u0430 2",
     "\u0395\u03bb\u03ad\u03bd\u03b7",
     "\u7f8e\u54b2\u3055\u304f\u30e9", "\u0928\u0947\u0939\u093e", "\u0645\u0631\u064a\u0645", "\uae40\ubbfc\uc9c0"],
)  # fmt: skip
def test_names_of_many_languages_may_be_chosen(name: str) -> None:
    assert find_username_fault(name) is None


@pytest.mark.parametrize(
    "name",
    ["p\u0430ul", "\u03bfwner", "auth\u043er", "a\ufe0f", "a\u034f", "\u1160", "\u3164", "\uff41", "\u2160",
     "jose\u0301", "a\u200bb",
     "a\u00adb", "<b>", "a/b", "a\u2800", "\U0001f600"],
)  # fmt: skip
def test_names_that_look_like_another_may_not(name: str) -> None:
    assert find_username_fault(name) is not None
