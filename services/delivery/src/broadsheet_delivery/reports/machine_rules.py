"""Which opens and clicks were probably made by a machine and not by the reader. Pure.

Postmark sets no flag for this, so these rules are ours. They are stated in docs/reports.md and in the API's
document; a report shows the figures with and without what they match.

1. `privacy_prefetch`: the user agent is exactly `Mozilla/5.0`. Apple's mail privacy protection loads the pictures of
   every mail so, whether or not somebody reads it.
2. `known_agent`: the user agent names a security gateway, a crawler or a script (`_AGENT_PARTS`).
3. `at_delivery`: a click before the mail was delivered, or less than 5 seconds after: a gateway follows links before
   it hands a mail over, or just then.
4. `burst`: clicks on three or more different links by one recipient within 10 seconds. All clicks in such a stretch of
   time count as a machine's.

Rules 1 and 2 are applied when the event is read, because the user agent is not stored; events that were stored
before these rules have none. Gmail's picture proxy is not matched: it loads a picture when the mail is opened.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

AgentRule = Literal["privacy_prefetch", "known_agent"]

AT_DELIVERY: Final = timedelta(seconds=5)
BURST: Final = timedelta(seconds=10)
BURST_LINKS_MIN: Final = 3

_PREFETCH_AGENT: Final = "Mozilla/5.0"
# Parts of user agents, in lower case.
_AGENT_PARTS: Final = (
    "barracuda",
    "bitdefender",
    "cloudmark",
    "fireeye",
    "forcepoint",
    "fortinet",
    "mimecast",
    "proofpoint",
    "safelinks",
    "sophos",
    "symantec",
    "trendmicro",
    "urldefense",
    "zscaler",
    "bot/",
    "bot;",
    "crawler",
    "spider",
    "headlesschrome",
    "phantomjs",
    "curl/",
    "wget/",
    "go-http-client",
    "libwww-perl",
    "python-requests",
    "python-urllib",
    "aiohttp",
    "scrapy",
)


class ClickAt(msgspec.Struct, frozen=True):
    """One click of a recipient. `link` tells links apart; `by_agent`: the user agent matched rule 1 or 2."""

    link: int
    occurred_at: datetime
    by_agent: bool


def rule_of_agent(user_agent: str | None) -> AgentRule | None:
    """The rule that a user agent matches; None for a reader's program, or where there is no user agent."""
    if user_agent is None:
        return None
    if user_agent.strip() == _PREFETCH_AGENT:
        return "privacy_prefetch"
    lower = user_agent.lower()
    return "known_agent" if any(part in lower for part in _AGENT_PARTS) else None


def machine_clicks(clicks: Sequence[ClickAt], *, delivered_at: datetime | None) -> list[bool]:
    """For each click of one recipient on one issue, whether it was probably a machine's. Any order."""
    in_order = sorted(range(len(clicks)), key=lambda index: clicks[index].occurred_at)
    machine = [one.by_agent or _is_at_delivery(one, delivered_at) for one in clicks]
    if len(clicks) < BURST_LINKS_MIN:
        return machine
    first = 0
    for last in range(len(in_order)):
        while clicks[in_order[last]].occurred_at - clicks[in_order[first]].occurred_at > BURST:
            first += 1
        stretch = in_order[first : last + 1]
        if len(stretch) >= BURST_LINKS_MIN and len({clicks[index].link for index in stretch}) >= BURST_LINKS_MIN:
            for index in stretch:
                machine[index] = True
    return machine


def _is_at_delivery(click: ClickAt, delivered_at: datetime | None) -> bool:
    return delivered_at is not None and click.occurred_at < delivered_at + AT_DELIVERY
