"""One attempt to deliver: write and sign the message, call the endpoint, and judge the answer."""

from datetime import timedelta
from random import Random
from typing import Final, assert_never

import msgspec
import structlog

from broadsheet_common.contracts.sealed_secret import SecretBox, UnreadableSecretError
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.endpoints.endpoint import secret_purpose
from broadsheet_subscriptions.webhooks.sending.answer import (
    Answer,
    Delivered,
    EndpointGone,
    Failed,
    NotAnswered,
    RetryIn,
    Verdict,
    judge,
)
from broadsheet_subscriptions.webhooks.sending.call_endpoint import EndpointCaller
from broadsheet_subscriptions.webhooks.sending.event import may_be_told, write_message
from broadsheet_subscriptions.webhooks.sending.signature import SigningSecret, signed_headers
from broadsheet_subscriptions.webhooks.sending.store import Claimed

BEGIN_WITHIN_S: Final = 1.0
"""For how long after the claim the person's data may be used: they may have been removed since."""

_log = structlog.get_logger()


class Called(msgspec.Struct, frozen=True):
    answer: Answer
    verdict: Verdict
    duration_ms: int


class GivenBack(msgspec.Struct, frozen=True):
    """No attempt was made, because its turn came too late. It is due again at once."""


class NotToBeTold(msgspec.Struct, frozen=True):
    """No attempt was made, because its subscriber was removed."""


Attempt = Called | GivenBack | NotToBeTold


def result_of(attempt: Attempt) -> str:
    """A word for metrics and logs."""
    match attempt:
        case GivenBack():
            return "given_back"
        case NotToBeTold():
            return "cancelled"
        case Called(verdict=verdict):
            match verdict:
                case Delivered():
                    return "delivered"
                case RetryIn():
                    return "retried"
                case Failed() | EndpointGone():
                    return "failed"
                case _:
                    assert_never(verdict)
        case _:
            assert_never(attempt)


class Attempter:
    """Makes single attempts."""

    def __init__(self, caller: EndpointCaller, *, targets: TargetPolicy, box: SecretBox, random: Random) -> None:
        self._caller = caller
        self._targets = targets
        self._box = box
        self._random = random

    async def attempt(self, claimed: Claimed, *, since_claim_s: float) -> Attempt:
        """Runs outside transactions. The signature's time is the database's time of the claim plus our own time
        since then.
        """
        if since_claim_s > BEGIN_WITHIN_S:
            return GivenBack()
        if not may_be_told(claimed.happening):
            return NotToBeTold()
        answer, duration_ms = await self._call(claimed, since_claim_s)
        verdict = judge(answer, attempts=claimed.attempts, retried=not claimed.is_test, random=self._random)
        return Called(answer, verdict, duration_ms)

    def failed(self, claimed: Claimed) -> Attempt:
        """The result of an attempt that failed here with an unexpected error. It counts as an attempt, so that it is
        not repeated for ever.
        """
        answer = NotAnswered("fault_of_ours")
        return Called(
            answer, judge(answer, attempts=claimed.attempts, retried=not claimed.is_test, random=self._random), 0
        )

    async def _call(self, claimed: Claimed, since_claim_s: float) -> tuple[Answer, int]:
        body = write_message(claimed.happening)
        try:
            # Checked again, because the policy may have changed since the URL was set.
            url = self._targets.parse_url(claimed.url)
        except ValueError:
            return NotAnswered("url_refused"), 0
        try:
            headers = signed_headers(
                message_id=f"msg_{claimed.message_id.hex}",
                at=claimed.claimed_at + timedelta(seconds=since_claim_s),
                body=body,
                secrets_in_force=self._secrets(claimed),
            )
        except UnreadableSecretError:
            return NotAnswered("secret_unreadable"), 0
        headers |= {"content-type": "application/json", "user-agent": "Broadsheet-Webhooks/1"}
        return await self._caller.call(url, headers=headers, body=body)

    def _secrets(self, claimed: Claimed) -> list[SigningSecret]:
        """Raises `UnreadableSecretError` if no secret can be read: nothing is sent unsigned."""
        readable = []
        for sealed in claimed.sealed_secrets:
            try:
                text = self._box.open(sealed, purpose=secret_purpose(claimed.endpoint_id))
            except UnreadableSecretError:
                _log.error("webhooks.secret_unreadable", endpoint_id=claimed.endpoint_id)
                continue
            readable.append(SigningSecret.parse(text))
        if not readable:
            raise UnreadableSecretError
        return readable
