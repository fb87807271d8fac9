"""API keys: their form, their life, and what they open."""

import asyncio

import pytest

from broadsheet_common.contracts.identity import Identity
from broadsheet_gateway.api_keys.api_key import ApiKeyText, parse_scopes
from broadsheet_gateway.api_keys.verify_api_key import ApiKeyVerifier

from .conftest import Gateway


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(gateway: Gateway, clock: Clock) -> ApiKeyVerifier:
    return ApiKeyVerifier(gateway.engine, cache_s=5.0, monotonic_s=clock)


def test_a_key_has_a_visible_prefix_and_256_random_bits() -> None:
    first, second = ApiKeyText.generate(), ApiKeyText.generate()
    assert ApiKeyText.parse(first.text) == first
    assert first.text != second.text
    assert first.text.startswith(f"{first.prefix}_")
    assert len(first.text) == len("bs_") + 8 + 1 + 43
    assert first.text.removeprefix(first.prefix) not in repr(first)


@pytest.mark.parametrize(
    "text",
    ["", "bs_", "bs_0123abcd_short", f"bs_0123ABCD_{'a' * 43}", f"xx_0123abcd_{'a' * 43}", f"bs_0123abcd_{'a' * 44}"],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="API key has the form"):
        ApiKeyText.parse(text)


def test_scopes_are_named_or_all() -> None:
    assert parse_scopes("all") == {"read", "write", "admin"}
    assert parse_scopes("read, write") == {"read", "write"}
    for text in ("", "public", "read,everything"):
        with pytest.raises(ValueError, match="scopes are admin, read, write"):
            parse_scopes(text)


async def test_only_the_hash_of_a_key_is_kept(gateway: Gateway) -> None:
    text = await gateway.add_api_key("read")
    ((prefix, digest, scopes),) = gateway.sql("SELECT prefix, secret_sha256, scopes FROM gateway.api_key")
    assert text.startswith(prefix)
    assert digest == ApiKeyText.parse(text).sha256
    assert scopes == ["read"]


async def test_a_key_names_its_caller_and_scopes(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read", "write")
    identity = await verifier.verify(text)
    assert identity == Identity(subject="key:1", scopes=frozenset({"read", "write"}))


async def test_a_known_prefix_with_another_secret_opens_nothing(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text[:12] + "A" * 43) is None
    assert await verifier.verify(text) is not None
    assert await verifier.verify(text[:12] + "A" * 43) is None


async def test_a_revoked_key_opens_nothing_within_seconds(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text) is not None
    gateway.sql("UPDATE gateway.api_key SET revoked_at = now()")
    clock.now_s += 4.9
    assert await verifier.verify(text) is not None
    clock.now_s += 0.1
    assert await verifier.verify(text) is None


async def test_a_key_expires_at_its_second_even_while_it_is_remembered(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    gateway.sql("UPDATE gateway.api_key SET expires_at = now() + interval '3 seconds'")
    assert await verifier.verify(text) is not None
    clock.now_s += 3.1
    assert await verifier.verify(text) is None
    gateway.sql("UPDATE gateway.api_key SET expires_at = now() - interval '1 second'")
    clock.now_s += 10
    assert await verifier.verify(text) is None


async def test_the_last_use_is_noted_at_most_once_a_minute(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")

    async def last_used_after_use() -> object:
        clock.now_s += 10
        await verifier.verify(text)
        ((at,),) = gateway.sql("SELECT last_used_at FROM gateway.api_key")
        return at

    first = await last_used_after_use()
    assert first is not None
    assert await last_used_after_use() == first
    gateway.sql("UPDATE gateway.api_key SET last_used_at = now() - interval '61 seconds'")
    assert await last_used_after_use() != first


async def test_a_wrong_secret_is_no_use(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read")
    await verifier.verify(text[:12] + "A" * 43)
    assert gateway.sql("SELECT last_used_at FROM gateway.api_key") == [(None,)]


async def test_many_requests_at_once_look_a_key_up_once(
    gateway: Gateway, verifier: ApiKeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await gateway.add_api_key("read")
    looked_up = 0
    load = verifier._load

    async def counted(prefix: str) -> object:
        nonlocal looked_up
        looked_up += 1
        return await load(prefix)

    monkeypatch.setattr(verifier, "_load", counted)
    assert all(await asyncio.gather(*(verifier.verify(text) for _ in range(20))))
    assert looked_up == 1


async def test_a_failed_look_up_is_not_remembered(
    gateway: Gateway, verifier: ApiKeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await gateway.add_api_key("read")
    with monkeypatch.context() as patched:

        async def fail(_: str) -> object:
            raise ConnectionRefusedError

        patched.setattr(verifier, "_load", fail)
        with pytest.raises(ConnectionRefusedError):
            await verifier.verify(text)
    assert await verifier.verify(text) is not None
