"""People who sign up at a steady rate while a large issue is being sent: how long do they wait for their mail?"""

import asyncio
import time

import msgspec

from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.oracle import TRANSACTIONAL_STREAM, Oracle
from broadsheet_local.demo.people import Gateway
from broadsheet_local.errors import LaunchError

SIGN_UPS_PER_S = 10
LAST_MAIL_TIMEOUT_S = 60.0
POLL_S = 0.2


class SignUpTimes(msgspec.Struct, frozen=True):
    """From the start of the sign-up's request to the sandbox's acceptance of the confirmation mail."""

    sign_ups: int
    seconds_p50: float
    seconds_p99: float
    seconds_max: float


class SignUpLoad:
    """Call `run` and cancel it, then `times`."""

    def __init__(self, gateway: Gateway, oracle: Oracle) -> None:
        self._gateway = gateway
        self._oracle = oracle
        self._began_epoch_s: dict[str, float] = {}

    async def run(self) -> None:
        """Sign-ups at a fixed rate; none waits for the one before."""
        first_s = time.monotonic()
        async with asyncio.TaskGroup() as people:
            number = 0
            while True:
                number += 1
                people.create_task(self._sign_up(number))
                await asyncio.sleep(max(0.0, first_s + number / SIGN_UPS_PER_S - time.monotonic()))

    async def _sign_up(self, number: int) -> None:
        email = f"newcomer-{number:07d}@example.com"
        began_epoch_s = time.time()
        await self._gateway.sign_up(f"Newcomer {number}", email)
        self._began_epoch_s[email] = began_epoch_s

    async def times(self) -> SignUpTimes:
        """Raises LaunchError when a confirmation does not come at all."""
        deadline_s = time.monotonic() + LAST_MAIL_TIMEOUT_S
        while self._began_epoch_s.keys() - (accepted := await self._oracle.accepted_at(TRANSACTIONAL_STREAM)).keys():
            if time.monotonic() > deadline_s:
                missing = len(self._began_epoch_s.keys() - accepted.keys())
                raise LaunchError(f"{missing} confirmation mails did not come within {LAST_MAIL_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)
        waits_s = [accepted[email] - began for email, began in self._began_epoch_s.items()]
        if not waits_s:
            raise LaunchError("the issue was sent before anybody could sign up: take more recipients")
        return SignUpTimes(
            sign_ups=len(waits_s),
            seconds_p50=round(percentile(waits_s, 50), 3),
            seconds_p99=round(percentile(waits_s, 99), 3),
            seconds_max=round(max(waits_s), 3),
        )
