"""Tokens that lead nowhere: refused the same way, whatever they look like, and nothing changes."""

from collections.abc import AsyncIterator

import pytest

from broadsheet_common.contracts.link_token import LinkSigner
from harness.cluster import Cluster
from harness.keys import LINK_SIGNING_KEYS

from .conftest import Subscriptions, running_subscriptions


@pytest.fixture(scope="module")
async def subscriptions(cluster: Cluster) -> AsyncIterator[Subscriptions]:
    """With one pending and one confirmed subscriber."""
    with cluster.database() as database:
        async with running_subscriptions(database) as running:
            await running.subscribe_and_confirm("confirmed@example.com")
            await running.sign_up("pending@example.com")
            yield running


def nothing_changed(subscriptions: Subscriptions) -> bool:
    return (subscriptions.state("confirmed@example.com"), subscriptions.state("pending@example.com")) == (
        "confirmed",
        "pending",
    )


@pytest.mark.parametrize("path", ["confirmations", "confirmations/lookup"])
@pytest.mark.parametrize("token", ["", "unknown", "x" * 43, "x" * 5_000, "\0", "é", "' OR 1=1"])
async def test_an_unknown_confirmation_token_is_unauthorised(
    subscriptions: Subscriptions, path: str, token: str
) -> None:
    response = await subscriptions.public(path, token=token)
    assert (response.status_code, response.json()["type"]) == (401, "urn:broadsheet:problem:unknown-token")
    assert nothing_changed(subscriptions)


def _forged() -> list[str]:
    other = LinkSigner.parse("k1:" + "cd" * 32)
    good = LinkSigner.parse(LINK_SIGNING_KEYS.reveal())
    return [
        "",
        "k1.",
        "k1.AAAA",
        "nonsense",
        "\0",
        "é" * 40,
        "x" * 5_000,
        other.sign("unsubscribe", 1),
        good.sign("unsubscribe", 1)[:-1],
        good.sign("unsubscribe", 1).replace("k1", "k2"),
        good.sign("unsubscribe", 999),  # ours, but of a subscription that is gone
        good.sign("unsubscribe", 2**64 - 1),
    ]


@pytest.mark.parametrize("path", ["unsubscribes", "unsubscribes/lookup"])
@pytest.mark.parametrize("token", _forged())
async def test_an_unknown_unsubscribe_token_is_not_found(subscriptions: Subscriptions, path: str, token: str) -> None:
    response = await subscriptions.public(path, token=token)
    assert (response.status_code, response.json()["type"]) == (404, "urn:broadsheet:problem:unknown-token")
    assert nothing_changed(subscriptions)
