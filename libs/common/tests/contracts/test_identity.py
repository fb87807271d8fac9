"""The gateway's signed word: believed only when it is the gateway's, for us, and fresh."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from litestar import Litestar, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.testing import TestClient

from broadsheet_common.contracts.identity import (
    IDENTITY_HEADER,
    NARROWED_BY_HANDLER,
    TOKEN_LIFETIME_S,
    AnyConnection,
    Identity,
    IdentityMiddleware,
    IdentityMinter,
    IdentityVerifier,
    ServiceRequest,
    requires,
)
from broadsheet_common.contracts.permissions import EARLIER_SCOPES
from broadsheet_common.http.problems import UnauthenticatedError, problem_handlers
from harness.keys import identity_keys, scopes

WHO = Identity("user:1", scopes("read", "write"))


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


class Clock:
    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __call__(self) -> float:
        return self.at_s


def test_a_token_is_used_for_half_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1_000.0)
    monkeypatch.setattr(time, "time", clock)
    minter = IdentityMinter(identity_keys()[0])
    first = minter.mint(WHO, "delivery")
    clock.at_s += TOKEN_LIFETIME_S / 2 - 0.1
    assert minter.mint(WHO, "delivery") == first
    clock.at_s += 0.1
    assert minter.mint(WHO, "delivery") != first


def test_a_verified_token_is_not_verified_again_for_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = identity_keys()
    token = IdentityMinter(private).mint(WHO, "delivery")
    clock = Clock(1_000.0)
    monkeypatch.setattr(time, "monotonic", clock)
    verifier = IdentityVerifier(public, "delivery")
    assert verifier.verify(token) == WHO
    with monkeypatch.context() as broken:
        broken.setattr(jwt, "decode", lambda *_args, **_options: pytest.fail("it was verified again"))
        clock.at_s += 4.9
        assert verifier.verify(token) == WHO
    with monkeypatch.context() as broken:
        broken.setattr(jwt, "decode", _refuse)
        clock.at_s += 0.1
        with pytest.raises(UnauthenticatedError):
            verifier.verify(token)


def _refuse(*_args: object, **_options: object) -> None:
    raise jwt.InvalidTokenError


@pytest.mark.parametrize(("over_s", "believed"), [(5, True), (20, False)])
def test_clocks_may_differ_by_some_seconds(over_s: int, *, believed: bool) -> None:
    private, public = identity_keys()
    token = jwt.encode(_claims(exp=int(time.time()) - over_s), private, algorithm="EdDSA")
    verifier = IdentityVerifier(public, "publishing")
    if believed:
        assert verifier.verify(token).subject == "user:1"
    else:
        with pytest.raises(UnauthenticatedError):
            verifier.verify(token)


def test_a_key_of_another_kind_is_refused_by_name() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(TypeError, match=r"^the identity key must be an Ed25519 private key$"):
        IdentityMinter(private)
    with pytest.raises(TypeError, match=r"^the identity key must be an Ed25519 public key$"):
        IdentityVerifier(public, "delivery")


@get("/who", guards=[requires("issues:write")])
async def who(request: ServiceRequest) -> str:
    return request.user.subject


def test_a_service_answers_to_an_identity_that_has_the_scope_and_to_nobody_else() -> None:
    private, public = identity_keys()
    app = Litestar(
        [who],
        middleware=[IdentityMiddleware],
        exception_handlers=problem_handlers(),
        openapi_config=None,
        state=State({"identity_verifier": IdentityVerifier(public, "delivery")}),
    )
    minter = IdentityMinter(private)
    reader = Identity("key:1", scopes("read"))
    with TestClient(app) as client:
        found = client.get("/who", headers={IDENTITY_HEADER: minter.mint(WHO, "delivery")})
        assert (found.status_code, found.text) == (200, "user:1")
        refused = client.get("/who", headers={IDENTITY_HEADER: minter.mint(reader, "delivery")})
        assert (refused.status_code, refused.json()["detail"]) == (403, "The permission `issues:write` is needed.")
        for method in ("GET", "OPTIONS"):
            unknown = client.request(method, "/who")
            assert unknown.status_code == 401
            assert unknown.json()["detail"] == "This service answers only to the gateway."
        foreign = client.get("/who", headers={IDENTITY_HEADER: minter.mint(WHO, "publishing")})
        assert foreign.status_code == 401


async def _newsletter_in_path(connection: AnyConnection) -> int | None:
    return {1: 3, 2: 4}.get(connection.path_params["record_id"])


@get("/records/{record_id:int}", guards=[requires("issues:read", newsletter=_newsletter_in_path)])
async def one_record(record_id: FromPath[int]) -> int:
    return record_id


@get("/records", guards=[requires("issues:read", newsletter=NARROWED_BY_HANDLER)])
async def some_records(request: ServiceRequest) -> list[int]:
    return sorted(request.user.newsletters_with("issues:read") or [0])


@get("/installation", guards=[requires("issues:read")])
async def all_records() -> str:
    return "all"


def test_a_right_for_one_newsletter_opens_its_records_and_what_says_so_and_nothing_else() -> None:
    private, public = identity_keys()
    app = Litestar(
        [one_record, some_records, all_records],
        middleware=[IdentityMiddleware],
        exception_handlers=problem_handlers(),
        openapi_config=None,
        state=State({"identity_verifier": IdentityVerifier(public, "delivery")}),
    )
    minter = IdentityMinter(private)
    limited = Identity("user:1", frozenset(), frozenset({(3, "issues:read"), (4, "issues:write")}))
    everywhere = Identity("user:2", frozenset({"issues:read"}))
    nowhere = Identity("user:3", frozenset({"issues:write"}))
    expected = {
        "/records/1": (200, 200, 403),
        "/records/2": (404, 200, 403),
        "/records/9": (404, 200, 403),
        "/records": (200, 200, 403),
        "/installation": (403, 200, 403),
    }
    with TestClient(app) as client:
        for path, statuses in expected.items():
            for who_asks, status in zip((limited, everywhere, nowhere), statuses, strict=True):
                answer = client.get(path, headers={IDENTITY_HEADER: minter.mint(who_asks, "delivery")})
                assert answer.status_code == status, (path, who_asks.subject)


def test_an_identity_of_a_gateway_of_the_version_before_means_what_it_meant() -> None:
    private, public = identity_keys()
    token = jwt.encode(_claims(scopes=["read", "public"]), private, algorithm="EdDSA")
    identity = IdentityVerifier(public, "publishing").verify(token)
    assert identity.scopes == EARLIER_SCOPES["read"] | {"public"}
    assert identity.limited == frozenset()
