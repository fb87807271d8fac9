"""argon2id in threads, bounded: 19 MiB, two passes, one lane (OWASP's first choice; about 19 ms a check).

At most `concurrency` checks run at once and `queue_max` more may wait; the rest is refused with 503: a flood of
logins must cost neither the event loop nor unbounded memory. A check for an unknown user runs against a dummy
hash of the same cost, so that the response time reveals nothing (timing side channel).
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from broadsheet_common.http.problems import UnavailableError

MEMORY_COST_KIB = 19 * 1024
TIME_COST = 2
PARALLELISM = 1

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PasswordHashing:
    """`verifications` counts the checks that were run (a test reads it: equal work for known and unknown users)."""

    def __init__(self, *, concurrency: int, queue_max: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_COST_KIB, parallelism=PARALLELISM, type=Type.ID
        )
        self._executor = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="argon2")
        self._in_hand = 0
        self._in_hand_max = concurrency + queue_max
        self._dummy_hash = self._hasher.hash(secrets.token_hex(16))
        self.verifications = 0

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password matches the hash. None stands for an unknown user and never matches.

        Raises:
            UnavailableError: too many checks are queued.
        """
        matches = await self._run(self._verify, password_hash or self._dummy_hash, password)
        return matches and password_hash is not None

    async def hash(self, password: str) -> str:
        """Raises `UnavailableError` if too many checks are queued."""
        return await self._run(self._hasher.hash, password)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str, password: str) -> bool:
        self.verifications += 1
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise RuntimeError("a stored password hash is damaged") from error

    async def _run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._in_hand >= self._in_hand_max:
            raise UnavailableError("Too many logins at once; try again in a moment.", retry_after_s=2)
        self._in_hand += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        finally:
            self._in_hand -= 1
