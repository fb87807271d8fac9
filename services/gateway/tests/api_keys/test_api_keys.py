"""API keys: their form, their life, and what they open."""

import asyncio

import msgspec
import pytest
import structlog

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_common.http.problems import TooManyRequestsError
from broadsheet_gateway.api_keys.api_key import ApiKeyText, parse_scopes
from broadsheet_gateway.api_keys.key_uses import KeyUses
from broadsheet_gateway.api_keys.verify_api_key import ApiKeyVerifier
from broadsheet_gateway.limits.limiter import Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit
from broadsheet_gateway.settings import LOCAL_LIMITS
from harness.keys import scopes

from ..conftest import Gateway

SOURCE = "192.0.2.1"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uses(gateway: Gateway) -> KeyUses:
    return KeyUses(gateway.engine)


@pytest.fixture
def verifier(gateway: Gateway, clock: Clock, uses: KeyUses) -> ApiKeyVerifier:
    return ApiKeyVerifier(
        gateway.engine,
        limiter=Limiter(None),
        limits=LOCAL_LIMITS,
        uses=uses,
        cache_s=5.0,
        monotonic_s=clock,
    )


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


def test_scopes_are_named_singly_or_by_their_groups() -> None:
    assert parse_scopes("all") == GRANTABLE
    assert parse_scopes("issues:publish, reports:read") == {"issues:publish", "reports:read"}
    assert {"issues:read", "subscribers:read"} < parse_scopes("read")
    for text in ("public", "read,everything"):
        with pytest.raises(ValueError, match="there is no scope"):
            parse_scopes(text)
    with pytest.raises(ValueError, match="at least one scope"):
        parse_scopes("")


@pytest.mark.parametrize("scope", ["consents:read", "subscribers:export", "personal-data:export"])
def test_exports_and_consent_records_are_in_no_group_but_all(scope: str) -> None:
    assert scope in parse_scopes("all")
    assert scope not in parse_scopes("read,write,admin")
    assert scope in parse_scopes(f"read,{scope}")


async def test_a_key_that_names_the_scopes_of_an_earlier_version_keeps_what_they_allowed(
    gateway: Gateway, verifier: ApiKeyVerifier
) -> None:
    text = await gateway.add_api_key("issues:read")
    gateway.sql("UPDATE gateway.api_key SET scopes = '{read,write,admin}'")
    identity = await verifier.verify(text, source=SOURCE)
    assert identity is not None
    assert identity.scopes == GRANTABLE


async def test_only_the_hash_of_a_key_is_kept(gateway: Gateway) -> None:
    text = await gateway.add_api_key("issues:read")
    ((prefix, digest, scopes),) = gateway.sql("SELECT prefix, secret_sha256, scopes FROM gateway.api_key")
    assert text.startswith(prefix)
    assert digest == ApiKeyText.parse(text).sha256
    assert scopes == ["issues:read"]


async def test_a_key_names_its_caller_and_scopes(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read", "write")
    identity = await verifier.verify(text, source=SOURCE)
    assert identity == Identity(subject="key:1", scopes=scopes("read", "write"), user="user:1")


async def test_a_known_prefix_with_another_secret_opens_nothing(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text[:12] + "A" * 43, source=SOURCE) is None
    assert await verifier.verify(text, source=SOURCE) is not None
    assert await verifier.verify(text[:12] + "A" * 43, source=SOURCE) is None


async def test_a_revoked_key_opens_nothing_within_seconds(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text, source=SOURCE) is not None
    gateway.sql("UPDATE gateway.api_key SET revoked_at = now()")
    clock.now_s += 4.9
    assert await verifier.verify(text, source=SOURCE) is not None
    clock.now_s += 0.1
    assert await verifier.verify(text, source=SOURCE) is None


async def test_a_key_expires_at_its_second_even_while_it_is_remembered(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    gateway.sql("UPDATE gateway.api_key SET expires_at = now() + interval '3 seconds'")
    assert await verifier.verify(text, source=SOURCE) is not None
    clock.now_s += 3.1
    assert await verifier.verify(text, source=SOURCE) is None
    gateway.sql("UPDATE gateway.api_key SET expires_at = now() - interval '1 second'")
    clock.now_s += 10
    assert await verifier.verify(text, source=SOURCE) is None


async def test_a_right_secret_is_a_use_and_a_wrong_one_is_none(
    gateway: Gateway, verifier: ApiKeyVerifier, uses: KeyUses
) -> None:
    text = await gateway.add_api_key("read")
    await verifier.verify(text[:12] + "A" * 43, source=SOURCE)
    await uses.write()
    assert gateway.sql("SELECT last_used_at FROM gateway.api_key") == [(None,)]
    await verifier.verify(text, source=SOURCE)
    await uses.write()
    assert gateway.sql("SELECT source, requests FROM gateway.api_key_use") == [(SOURCE, 1)]
    assert gateway.sql("SELECT last_used_at FROM gateway.api_key") != [(None,)]


async def test_a_rotated_out_secret_ends_when_its_time_is_over_also_while_the_key_is_cached(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    gateway.sql(
        "UPDATE gateway.api_key SET previous_sha256 = secret_sha256, secret_sha256 = sha256('another'),"
        " previous_expires_at = now() + interval '3 seconds'"
    )
    assert await verifier.verify(text, source=SOURCE) is not None
    clock.now_s += 4
    assert await verifier.verify(text, source=SOURCE) is None


async def test_the_key_of_a_deactivated_user_is_refused(
    gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock
) -> None:
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text, source=SOURCE) is not None
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    clock.now_s += 5
    assert await verifier.verify(text, source=SOURCE) is None


async def test_a_key_loses_what_its_user_loses(gateway: Gateway, verifier: ApiKeyVerifier, clock: Clock) -> None:
    text = await gateway.add_api_key("issues:read", "issues:publish")
    gateway.sql("UPDATE gateway.user_role SET role = 'editor'")
    clock.now_s += 5
    identity = await verifier.verify(text, source=SOURCE)
    assert identity is not None
    assert identity.scopes == {"issues:read"}


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
    assert all(await asyncio.gather(*(verifier.verify(text, source=SOURCE) for _ in range(20))))
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
            await verifier.verify(text, source=SOURCE)
    assert await verifier.verify(text, source=SOURCE) is not None


async def test_made_up_keys_are_refused_before_the_database_is_asked_and_known_ones_go_on(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await gateway.add_api_key("read")
    limits = msgspec.structs.replace(
        LOCAL_LIMITS, unknown_key_per_ip=RateLimit(3, 3600), unknown_key_overall=RateLimit(6, 3600)
    )
    verifier = ApiKeyVerifier(
        gateway.engine,
        limiter=Limiter(None),
        limits=limits,
        uses=KeyUses(gateway.engine),
        cache_s=5.0,
        monotonic_s=clock,
    )
    assert await verifier.verify(text, source="198.51.100.1") is not None
    looked_up: list[str] = []
    load = verifier._load

    async def counted(prefix: str) -> object:
        looked_up.append(prefix)
        return await load(prefix)

    monkeypatch.setattr(verifier, "_load", counted)

    async def try_made_up(source: str) -> bool:
        """Whether it was limited."""
        try:
            assert await verifier.verify(ApiKeyText.generate().text, source=source) is None
        except TooManyRequestsError:
            return True
        return False

    assert [await try_made_up(SOURCE) for _ in range(5)] == [False, False, False, True, True]
    # Another place has a quota of its own, and everybody together one too.
    assert [await try_made_up("192.0.2.2") for _ in range(3)] == [False, False, True]
    assert len(looked_up) == 5
    # A key that was found before is looked up again all the same, from there too.
    clock.now_s += 10
    assert await verifier.verify(text, source=SOURCE) is not None


async def test_made_up_keys_push_no_real_one_out(
    gateway: Gateway, verifier: ApiKeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_gateway.api_keys.verify_api_key.CACHE_ENTRIES_MAX", 3)
    text = await gateway.add_api_key("read")
    assert await verifier.verify(text, source=SOURCE) is not None
    for _ in range(5):
        assert await verifier.verify(ApiKeyText.generate().text, source=SOURCE) is None
    gateway.sql("UPDATE gateway.api_key SET revoked_at = now()")
    assert await verifier.verify(text, source=SOURCE) is not None  # from memory


async def test_refused_keys_are_security_events_without_the_key(gateway: Gateway, verifier: ApiKeyVerifier) -> None:
    text = await gateway.add_api_key("read")
    with structlog.testing.capture_logs() as events:
        await verifier.verify("nonsense", source=SOURCE)
        await verifier.verify(ApiKeyText.generate().text, source=SOURCE)
        await verifier.verify(text[:12] + "A" * 43, source=SOURCE)
    assert [(e["event"], e["reason"], e["api_key_id"]) for e in events] == [
        ("security.api_key_refused", "malformed", None),
        ("security.api_key_refused", "unknown", None),
        ("security.api_key_refused", "wrong_secret", 1),
    ]
    assert SOURCE not in str(events)
    assert text[:11] not in str(events)
