"""An ID token counts only if the provider signed it, for us, for this sign-in, now: against a provider that lies."""

import msgspec
import pytest

from broadsheet_gateway.oidc.faults import ProviderFault
from broadsheet_gateway.oidc.id_token import import_keys

from ..conftest import Gateway
from .conftest import MakeWithProvider, is_in, linked_user, reasons, sign_in
from .provider import CLIENT_ID, FakeProvider, Fault, Key, b64

REFUSED: dict[Fault, str] = {
    "wrong_issuer": "wrong_issuer",
    "wrong_audience": "wrong_audience",
    "other_audience_too": "wrong_audience",
    "other_party": "wrong_audience",
    "wrong_nonce": "wrong_nonce",
    "no_nonce": "wrong_nonce",
    "expired": "token_expired",
    "old": "token_expired",
    "from_the_future": "token_not_yet_valid",
    "no_expiry": "token_expired",
    "no_subject": "token_malformed",
    "empty_subject": "token_malformed",
    "alg_none": "wrong_algorithm",
    "hs256_secret": "wrong_algorithm",
    "hs256_public_key": "wrong_algorithm",
    "unlisted_algorithm": "wrong_algorithm",
    "unknown_kid": "unknown_key",
    "wrong_key": "wrong_signature",
    "wrong_access_token": "wrong_access_token",
    "torn": "token_malformed",
}


@pytest.mark.parametrize(("fault", "reason"), REFUSED.items())
async def test_a_wrong_token_signs_nobody_in(
    gateway_with: Gateway, provider: FakeProvider, fault: Fault, reason: str
) -> None:
    await linked_user(gateway_with, provider)
    provider.fault = fault
    client = await gateway_with.client()
    answer = await sign_in(client, provider)
    assert (answer.status_code, "You are not signed in" in answer.text) == (403, True)
    assert reasons(gateway_with) == [reason]
    assert (await client.get("/admin/dashboard")).headers["location"] == "/login"
    provider.fault = None
    assert is_in(await sign_in(client, provider))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_the_signatures_that_are_taken(make: MakeWithProvider, provider: FakeProvider, algorithm: str) -> None:
    provider.use_key(algorithm)
    gateway = await make()
    await linked_user(gateway, provider)
    assert is_in(await sign_in(await gateway.client(), provider))
    provider.fault = "wrong_access_token"
    assert (await sign_in(await gateway.client(), provider)).status_code == 403


async def test_a_signature_that_the_metadata_does_not_name_is_refused(
    make: MakeWithProvider, provider: FakeProvider
) -> None:
    """Also one that we take elsewhere."""
    provider.use_key("ES256")
    provider.metadata["id_token_signing_alg_values_supported"] = ["RS256"]
    gateway = await make()
    await gateway.signed_in()
    assert (await sign_in(await gateway.client(), provider)).status_code == 403
    assert reasons(gateway) == ["wrong_algorithm"]


async def test_us_among_several_audiences_is_enough_where_we_are_the_party(
    gateway_with: Gateway, provider: FakeProvider
) -> None:
    await linked_user(gateway_with, provider)
    provider.claims = {"aud": [CLIENT_ID, "another client"], "azp": CLIENT_ID}
    assert is_in(await sign_in(await gateway_with.client(), provider))


async def test_without_a_hash_of_the_access_token_there_is_none_to_compare(
    gateway_with: Gateway, provider: FakeProvider
) -> None:
    await linked_user(gateway_with, provider)
    provider.claims = {"at_hash": None}
    assert is_in(await sign_in(await gateway_with.client(), provider))


async def test_clocks_may_be_a_minute_apart(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    [(now,)] = gateway_with.sql("SELECT extract(epoch FROM clock_timestamp())::bigint")
    for seconds in (-50, 40):
        provider.claims = {"iat": now + seconds, "exp": now + seconds + 10}
        assert is_in(await sign_in(await gateway_with.client(), provider))


async def test_the_clock_that_counts_is_the_databases(
    gateway_with: Gateway, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked_user(gateway_with, provider)
    [(now,)] = gateway_with.sql("SELECT extract(epoch FROM clock_timestamp())::bigint")
    provider.claims = {"iat": now, "exp": now + 10}
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert is_in(await sign_in(await gateway_with.client(), provider))


@pytest.mark.parametrize("groups", [{"admin": True}, 7, ["x"] * 1001])
async def test_groups_that_are_no_list_are_refused(
    gateway_with: Gateway, provider: FakeProvider, groups: object
) -> None:
    await linked_user(gateway_with, provider)
    provider.claims = {"groups": groups}
    assert (await sign_in(await gateway_with.client(), provider)).status_code == 403
    assert reasons(gateway_with) == ["token_malformed"]


def test_keys_that_may_sign_nothing_are_passed_over() -> None:
    good = Key("RS256", "good").public
    shared = {"kty": "oct", "kid": "shared", "k": b64(b"secret")}
    short = {**good, "kid": "short", "n": b64(b"\xc0" + b"\x01" * 127)}
    others = [shared, short, {**good, "use": "enc"}, {"kty": "RSA", "kid": "torn"}, {"kty": "future"}, "text", None]
    assert [key.kid for key in import_keys({"keys": [*others, good]})] == ["good"]


@pytest.mark.parametrize("document", [{}, {"keys": "none"}, {"keys": [{}] * 101}])
def test_what_is_no_key_set_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ProviderFault) as caught:
        import_keys(document)
    assert caught.value.reason == "provider_answer_malformed"


def test_a_private_key_in_a_key_set_is_read_as_its_public_half() -> None:
    key = Key("EdDSA", "leaked")
    [read] = import_keys(msgspec.json.decode(msgspec.json.encode({"keys": [{**key.public, "d": b64(b"\x01" * 32)}]})))
    assert not read.is_private
