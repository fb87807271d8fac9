"""The gateway's signed word: believed only when it is the gateway's, for us, and fresh."""

import time

import jwt
import pytest

from broadsheet_common.contracts.identity import Identity, IdentityMinter, IdentityVerifier
from broadsheet_common.http.problems import UnauthenticatedError
from harness.keys import identity_keys

WHO = Identity("user:1", frozenset({"read", "write"}))


def test_a_minted_identity_is_verified() -> None:
    private, public = identity_keys()
    token = IdentityMinter(private).mint(WHO, "publishing")
    assert IdentityVerifier(public, "publishing").verify(token) == WHO


def test_an_identity_for_another_service_is_refused() -> None:
    private, public = identity_keys()
    token = IdentityMinter(private).mint(WHO, "publishing")
    with pytest.raises(UnauthenticatedError):
        IdentityVerifier(public, "delivery").verify(token)


def _claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": "broadsheet-gateway",
        "aud": "publishing",
        "sub": "user:1",
        "scopes": ["read"],
        "iat": now,
        "exp": now + 60,
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"iss": "somebody"},
        {"scopes": ["everything"]},
        {"scopes": None},
        {"sub": None},
        {"exp": None},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_are_refused(changes: dict[str, object]) -> None:
    private, public = identity_keys()
    claims = {key: value for key, value in _claims(**changes).items() if value is not None}
    token = jwt.encode(claims, private, algorithm="EdDSA")
    with pytest.raises(UnauthenticatedError):
        IdentityVerifier(public, "publishing").verify(token)


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_other_algorithms_are_refused() -> None:
    _, public = identity_keys()
    for token in (jwt.encode(_claims(), "", algorithm="none"), jwt.encode(_claims(), "k" * 32, algorithm="HS256")):
        with pytest.raises(UnauthenticatedError):
            IdentityVerifier(public, "publishing").verify(token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é" * 10])
def test_what_is_no_token_is_refused(token: str) -> None:
    _, public = identity_keys()
    with pytest.raises(UnauthenticatedError):
        IdentityVerifier(public, "publishing").verify(token)


def test_a_key_with_escaped_line_ends_is_read() -> None:
    private, public = identity_keys()
    token = IdentityMinter(private.replace("\n", "\\n")).mint(WHO, "delivery")
    assert IdentityVerifier(public.replace("\n", "\\n"), "delivery").verify(token) == WHO


def test_the_minter_keeps_tokens_within_a_bound() -> None:
    private, _ = identity_keys()
    minter = IdentityMinter(private)
    assert minter.mint(WHO, "delivery") is minter.mint(WHO, "delivery")
