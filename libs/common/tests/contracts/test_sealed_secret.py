"""Secrets at rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.contracts.sealed_secret import SecretBox, UnreadableSecretError

OLD, NEW = "k1:" + "11" * 32, "k2:" + "22" * 32


def test_a_sealed_secret_opens_for_its_purpose_and_no_other() -> None:
    box = SecretBox.parse(OLD)
    sealed = box.seal("whsec_abc", purpose="webhook-endpoint:1")
    assert "abc" not in sealed
    assert box.open(sealed, purpose="webhook-endpoint:1") == "whsec_abc"
    with pytest.raises(UnreadableSecretError):
        box.open(sealed, purpose="webhook-endpoint:2")


def test_after_a_new_key_was_put_in_front_old_secrets_still_open() -> None:
    sealed = SecretBox.parse(OLD).seal("whsec_abc", purpose="a")
    both = SecretBox.parse(f"{NEW},{OLD}")
    assert both.open(sealed, purpose="a") == "whsec_abc"
    assert both.seal("whsec_abc", purpose="a").startswith("k2.")
    with pytest.raises(UnreadableSecretError):
        SecretBox.parse(NEW).open(sealed, purpose="a")


@given(st.text(max_size=80))
def test_what_nobody_sealed_does_not_open_and_nothing_breaks(text: str) -> None:
    with pytest.raises(UnreadableSecretError):
        SecretBox.parse(OLD).open(text, purpose="a")


@pytest.mark.parametrize(
    "text", ["", "k1", "k1:zz", "k1:" + "11" * 16, "k1:" + "11" * 64, OLD + ",", "K1:" + "11" * 32]
)
def test_keys_that_are_malformed_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        SecretBox.parse(text)
