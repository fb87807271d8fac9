"""The name of the default newsletter, which the public pages show: asked for at most once a minute."""

import time
from collections.abc import Callable

import msgspec

from broadsheet_common.identity import Identity
from broadsheet_common.problems import ProblemError
from broadsheet_gateway.upstreams import UpstreamRefusalError, Upstreams

CACHE_S = 60.0
RETRY_S = 2.0
NAME_BEFORE_FIRST_ANSWER = "Broadsheet"
_IDENTITY = Identity(subject="public", scopes=frozenset({"read"}))


class _Newsletter(msgspec.Struct, frozen=True):
    name: str
    is_default: bool = False


class _Newsletters(msgspec.Struct, frozen=True):
    items: list[_Newsletter]


class DefaultNewsletterName:
    """While publishing does not answer, the last known name stays: a public page never fails for want of it."""

    def __init__(self, upstreams: Upstreams, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._upstreams = upstreams
        self._monotonic_s = monotonic_s
        self._name = NAME_BEFORE_FIRST_ANSWER
        self._ask_again_at_s = float("-inf")

    async def get(self) -> str:
        if self._monotonic_s() < self._ask_again_at_s:
            return self._name
        # Before the answer is there: others meanwhile take the last known name instead of asking as well.
        self._ask_again_at_s = self._monotonic_s() + RETRY_S
        try:
            found = await self._upstreams.call(
                "publishing", "GET", "/api/v1/newsletters", identity=_IDENTITY, answer=_Newsletters
            )
        except (ProblemError, UpstreamRefusalError):
            return self._name  # logged where it was raised
        self._name = next((n.name for n in found.items if n.is_default), self._name)
        self._ask_again_at_s = self._monotonic_s() + CACHE_S
        return self._name
