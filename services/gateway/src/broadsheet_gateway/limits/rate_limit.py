"""Rate limits as pure arithmetic: the generic cell rate algorithm (GCRA, as in ITU-T I.371).

A limit of `count` in `window_s` lets `count` requests through at once and then one every `window_s / count`. Its whole
state is one instant: when the quota will be full again. `limiter` keeps that instant, in Redis or in the process.
"""

import re

import msgspec

US_PER_S = 1_000_000

_TEXT = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,6})")


class RateLimit(msgspec.Struct, frozen=True):
    """`count` requests in `window_s` seconds."""

    count: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError("expected <count>/<seconds>, for example 30/3600")
        return cls(int(match[1]), int(match[2]))

    @property
    def window_us(self) -> int:
        return self.window_s * US_PER_S

    @property
    def interval_us(self) -> int:
        """Rounded down, so that `count` intervals never exceed the window."""
        return max(1, self.window_us // self.count)


class Verdict(msgspec.Struct, frozen=True):
    """The decision of a limit on one request.

    `remaining` requests may follow at once; the quota is full again in `reset_us`; if refused, the next request
    can pass in `retry_after_us`.
    """

    name: str
    limit: RateLimit
    is_allowed: bool
    remaining: int
    reset_us: int
    retry_after_us: int

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), and `Retry-After` when refused."""
        headers = {
            "RateLimit-Policy": f'"{self.name}";q={self.limit.count};w={self.limit.window_s}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={_whole_seconds(self.reset_us)}',
        }
        if not self.is_allowed:
            headers["Retry-After"] = str(max(1, _whole_seconds(self.retry_after_us)))
        return headers


def _whole_seconds(microseconds: int) -> int:
    return -(-microseconds // US_PER_S)


def judge(name: str, limit: RateLimit, full_in_us: int) -> Verdict:
    """The verdict on one request, when the quota is full again in `full_in_us` (0 or less: it is full now).

    An allowed request moves that instant on by `limit.interval_us`; `limiter`'s script decides by the same integers.
    """
    before_us = max(0, full_in_us)
    after_us = before_us + limit.interval_us
    early_us = after_us - limit.window_us
    if early_us > 0:
        return Verdict(name, limit, False, 0, before_us, early_us)
    return Verdict(name, limit, True, (limit.window_us - after_us) // limit.interval_us, after_us, 0)
