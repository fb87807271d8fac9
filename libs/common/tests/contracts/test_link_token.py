"""Link tokens: made by us, for one purpose, across key rotation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.contracts.link_token import LinkSigner

OLD, NEW = "a1:" + "11" * 32, "b2:" + "22" * 32
KNOWN = "b2.AAAAAAAAAAfVuN7Xf8ORQ0dohmvXeGgK"


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_token_gives_back_its_id(id_: int) -> None:
    signer = LinkSigner.parse(NEW)
    assert signer.verify("unsubscribe", signer.sign("unsubscribe", id_)) == id_


def test_links_of_mails_that_went_out_years_ago_work_as_they_stand() -> None:
    """The form of a token is for ever: this one was made when links began."""
    assert LinkSigner.parse(NEW).sign("unsubscribe", 7) == KNOWN
    assert LinkSigner.parse(NEW).verify("unsubscribe", KNOWN) == 7


@pytest.mark.parametrize(
    "changed", [f"{KNOWN}=", f"{KNOWN}A", f"{KNOWN} ", KNOWN[:-1], KNOWN.replace(".", ".."), f"x{KNOWN}"]
)
def test_a_token_has_one_spelling(changed: str) -> None:
    assert LinkSigner.parse(NEW).verify("unsubscribe", changed) is None


def test_an_old_keys_links_work_while_the_key_is_listed() -> None:
    token = LinkSigner.parse(OLD).sign("unsubscribe", 7)
    assert LinkSigner.parse(f"{NEW},{OLD}").verify("unsubscribe", token) == 7
    assert LinkSigner.parse(NEW).verify("unsubscribe", token) is None


def test_the_first_key_signs() -> None:
    token = LinkSigner.parse(f"{NEW},{OLD}").sign("unsubscribe", 7)
    assert LinkSigner.parse(NEW).verify("unsubscribe", token) == 7


@given(st.integers(min_value=0, max_value=31), st.integers(min_value=1, max_value=127))
def test_a_changed_token_is_nothing(position: int, difference: int) -> None:
    signer = LinkSigner.parse(NEW)
    token = signer.sign("unsubscribe", 7)
    key_id, _, body = token.partition(".")
    changed = body[:position] + chr((ord(body[position]) + difference) % 128) + body[position + 1 :]
    assert changed != body
    assert signer.verify("unsubscribe", f"{key_id}.{changed}") is None


@given(st.text(max_size=80))
def test_any_text_is_verified_without_breaking(text: str) -> None:
    assert LinkSigner.parse(NEW).verify("unsubscribe", text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:",
        "k1:zz",
        "k1:" + "1" * 63,
        "K1:" + "1" * 64,
        OLD + ",",
        f"{OLD},{OLD.upper()}",
        "k1:" + "1" * 130,
    ],
)
def test_malformed_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        LinkSigner.parse(text)
