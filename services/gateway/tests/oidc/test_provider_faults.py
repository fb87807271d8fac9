"""A provider that is away, slow, lavish or elsewhere costs a page that says so, and nothing else."""

import asyncio
from time import monotonic

import pytest

from broadsheet_gateway.oidc.calls import ANSWER_MAX_BYTES
from broadsheet_gateway.oidc.provider import KEPT_S, KEYS_AGAIN_AFTER_S
from harness.waiting import eventually

from ..conftest import Gateway
from .conftest import (
    LOGIN,
    MakeWithProvider,
    asked_of_provider,
    come_back,
    is_in,
    linked_user,
    reasons,
    send_to_provider,
    sign_in,
)
from .provider import FakeProvider, Fault

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(
    "fault",
    [
        "metadata_issuer", "metadata_http", "metadata_no_algorithm", "metadata_redirect", "metadata_huge",
        "metadata_array",
    ],
)  # fmt: skip
async def test_nobody_is_sent_to_a_provider_whose_metadata_is_wrong(
    gateway_with: Gateway, provider: FakeProvider, fault: Fault
) -> None:
    provider.fault = fault
    client = await gateway_with.client()
    answer = await client.get(LOGIN, headers=HTML)
    assert (answer.status_code, "No answer from the Guild" in answer.text) == (503, True)
    assert "set-cookie" not in answer.headers
    assert provider.asked == ["metadata"]
    provider.fault = None
    assert (await client.get(LOGIN)).status_code == 303


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("token_error", 403, "code_refused"),
        ("no_token", 503, "provider_answer_malformed"),
        ("token_broken", 503, "provider_answer_malformed"),
        ("token_redirect", 503, "provider_unreachable"),
        ("token_huge", 503, "provider_answer_too_large"),
        ("keys_gone", 503, "provider_unreachable"),
        ("no_response_issuer", 403, "wrong_response_issuer"),
        ("wrong_response_issuer", 403, "wrong_response_issuer"),
        ("denied", 403, "provider_refused"),
    ],
)
async def test_an_answer_that_is_none_ends_the_sign_in(
    make: MakeWithProvider, provider: FakeProvider, fault: Fault, status: int, reason: str
) -> None:
    await linked_user(await make(), provider)
    gateway = await make()
    provider.fault = fault
    answer = await sign_in(await gateway.client(), provider)
    assert answer.status_code == status, answer.text
    assert reasons(gateway) == [reason]
    provider.fault = None
    assert is_in(await sign_in(await gateway.client(), provider))


async def test_a_provider_that_answers_byte_by_byte_is_given_up(make: MakeWithProvider, provider: FakeProvider) -> None:
    gateway = await make(oidc_timeout_s=0.5)
    client = await gateway.client()
    query = await send_to_provider(client)
    provider.fault = "token_slow"
    assert (await come_back(client, provider, query)).status_code == 503
    assert reasons(gateway)[-1] == "provider_unreachable"


async def test_a_provider_that_is_away_costs_a_page(make: MakeWithProvider) -> None:
    gateway = await make(oidc_issuer="http://127.0.0.1:9")
    answer = await (await gateway.client()).get(LOGIN, headers=HTML)
    assert (answer.status_code, "No answer from" in answer.text) == (503, True)


async def test_no_transaction_is_open_while_the_provider_is_asked(
    make: MakeWithProvider, provider: FakeProvider
) -> None:
    """With a pool of one connection, a second request is answered meanwhile."""
    gateway = await make(oidc_timeout_s=5.0, database_pool_size=1, database_timeout_s=2.0)
    author = await gateway.signed_in()
    client = await gateway.client()
    query = await send_to_provider(client)
    provider.fault = "token_slow"
    waiting = asyncio.create_task(come_back(client, provider, query))
    await eventually(lambda: "token" in provider.asked, what="the provider is asked for the token")
    assert (await author.get("/admin/password")).status_code == 200
    assert not waiting.done()
    assert (await waiting).status_code == 503


async def test_metadata_and_keys_are_kept(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    for _ in range(3):
        assert is_in(await sign_in(await gateway_with.client(), provider))
    assert (provider.asked.count("metadata"), provider.asked.count("keys")) == (1, 1)


async def test_a_new_key_is_found_and_made_up_ones_are_looked_for_once_a_minute(
    gateway_with: Gateway, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked_user(gateway_with, provider)
    clock = _Clock(monkeypatch)
    provider.fault = "unknown_kid"
    for _ in range(5):
        assert (await sign_in(await gateway_with.client(), provider)).status_code == 403
    assert provider.asked.count("keys") == 1, "they were fetched less than a minute ago"
    clock.pass_s(KEYS_AGAIN_AFTER_S + 1)
    for _ in range(5):
        assert (await sign_in(await gateway_with.client(), provider)).status_code == 403
    assert provider.asked.count("keys") == 2
    provider.fault = None
    provider.rotate()
    clock.pass_s(KEYS_AGAIN_AFTER_S + 1)
    assert is_in(await sign_in(await gateway_with.client(), provider))
    assert provider.asked.count("keys") == 3


async def test_a_key_that_the_provider_withdrew_counts_for_an_hour_at_most(
    gateway_with: Gateway, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked_user(gateway_with, provider)
    clock = _Clock(monkeypatch)
    provider.listed = [{**provider.listed[0], "kid": "another"}]
    clock.pass_s(KEPT_S + 1)
    assert (await sign_in(await gateway_with.client(), provider)).status_code == 403
    assert reasons(gateway_with) == ["unknown_key"]


class _Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._offset_s = 0.0
        self._from_s = monotonic()
        monkeypatch.setattr("broadsheet_gateway.oidc.provider.monotonic", self._now)

    def _now(self) -> float:
        return self._from_s + self._offset_s

    def pass_s(self, seconds: float) -> None:
        self._offset_s += seconds


async def test_a_secret_is_sent_in_the_body_where_the_provider_takes_it_there_alone(
    make: MakeWithProvider, provider: FakeProvider
) -> None:
    provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post", "private_key_jwt"]
    gateway = await make()
    await linked_user(gateway, provider)
    assert "client_secret" in provider.token_requests[-1]
    provider.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    assert (await (await (await make()).client()).get(LOGIN)).status_code == 503


async def test_an_endpoint_that_has_a_query_keeps_it(gateway_with: Gateway, provider: FakeProvider) -> None:
    location = (await (await gateway_with.client()).get(LOGIN)).headers["location"]
    assert asked_of_provider(location)["tenant"] == "1"
    assert ANSWER_MAX_BYTES < 2_000_000
