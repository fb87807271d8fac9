"""`RateLimit-Policy` and `RateLimit` on every answer of a request that was counted, also one that ends in an error."""

from collections.abc import Sequence
from typing import Any, cast

from litestar.types import Message, Scope

from broadsheet_gateway.limits.rate_limit import Verdict

_VERDICTS = "broadsheet_verdicts"


def note_verdicts(scope: Scope, verdicts: Sequence[Verdict]) -> None:
    """What the answer to this request is to say."""
    cast("dict[str, Any]", scope)[_VERDICTS] = tuple(verdicts)


async def add_limit_headers(message: Message, scope: Scope) -> None:
    """A Litestar `before_send` hook. A 429 says itself which limit was reached."""
    verdicts: tuple[Verdict, ...] = cast("dict[str, Any]", scope).get(_VERDICTS, ())
    if not verdicts or message["type"] != "http.response.start":
        return
    given = list(message["headers"])
    said = {name.lower() for name, _ in given}
    for name in ("RateLimit-Policy", "RateLimit"):
        encoded = name.lower().encode()
        if encoded not in said:
            given.append((encoded, ", ".join(verdict.headers[name] for verdict in verdicts).encode()))
    message["headers"] = given
