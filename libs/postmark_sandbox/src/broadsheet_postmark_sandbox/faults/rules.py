"""The faults that the sandbox can be told to make: the rules of PUT /_sandbox/faults.

Rules are tried in their order for every request of the Postmark API that their `match` covers. Delays add up,
item errors and search lag combine; of the rules that decide the whole answer the first that fires wins.
Whether a rule fires depends on its own generator, seeded with the set's seed and the rule's place, so the n-th
request that a rule matches has the same fate in every run.
"""

import re
from typing import Annotated, Final, Literal

import msgspec

RULES_MAX: Final = 100
DELAY_MS_MAX: Final = 3_600_000
SECONDS_MAX: Final = 3_600

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=DELAY_MS_MAX)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)]
Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
SENDING: Final = r"/email(/.*)?"
SEARCHING: Final = r"/messages/outbound(/.*)?"


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests a rule is about; what is left out matches everything.

    path: a regular expression for the whole path, by default the sending endpoints (for the search's rules the
    search's). stream, recipient (a regular expression found in the lower-cased address) and metadata (whole
    values by key, as regular expressions) must all hold for one message of the request.
    """

    path: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    stream: str | None = None
    recipient: str | None = None
    metadata: dict[str, str] = {}

    @property
    def about_messages(self) -> bool:
        return bool(self.stream is not None or self.recipient is not None or self.metadata)


class RuleBase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What every rule has.

    probability: of firing at a match. skip: matches that pass first. count: how often it fires at most.
    for_s: how long after being set it lives, in seconds.
    """

    name: str = ""
    match: Match = Match()
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    for_s: Seconds | None = None


class Latency(RuleBase, frozen=True, tag="latency"):
    """Wait before answering: latency_ms and up to jitter_ms more.

    Messages are accepted after the wait, or before it with accept_first: then a client that loses patience has
    sent its mail, and webhooks can come before the answer.
    """

    latency_ms: Milliseconds
    jitter_ms: Milliseconds = 0
    accept_first: bool = False


class StatusAnswer(RuleBase, frozen=True, tag="status"):
    """Answer with this HTTP status, as Postmark's JSON with error_code, or with `body` as it stands.

    accept: accept the messages first, as an error 500 may have done.
    """

    status: Status
    error_code: int | None = None
    message: str | None = None
    body: str | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    accept: bool = False


class DropBefore(RuleBase, frozen=True, tag="drop_before"):
    """Close the connection without an answer and accept nothing; reset sends RST instead of FIN."""

    reset: bool = False


class DropAfter(RuleBase, frozen=True, tag="drop_after"):
    """Accept the messages, then close the connection without an answer."""

    reset: bool = False


class Hang(RuleBase, frozen=True, tag="hang"):
    """Answer nothing and keep the connection open for so long, then close it."""

    seconds: Seconds = SECONDS_MAX
    accept: bool = False


class Malformed(RuleBase, frozen=True, tag="malformed"):
    """Answer something that is not Postmark's answer.

    truncated_json: status 200, the first half of the JSON, a length that fits it. cut_body: the connection
    closes half-way through the body. html_502: a proxy's error page. wrong_length: an array with its last item
    missing. not_json: status 200 and a page. empty: status 200 and no body. no_error_code: success items
    without ErrorCode, as Postmark sends them when delivery may be delayed.
    """

    shape: Literal["truncated_json", "cut_body", "html_502", "wrong_length", "not_json", "empty", "no_error_code"]
    accept: bool = True


class ItemErrors(RuleBase, frozen=True, tag="item_errors"):
    """Refuse the messages to these addresses (exact, or found by the pattern), each with its own error.

    Neither given means every message. Probability, skip and count are about messages, not requests.
    name_address=False leaves the list of addresses in the text of 406 empty.
    """

    error_code: int = 406
    message: str | None = None
    recipients: frozenset[str] = frozenset()
    pattern: str | None = None
    name_address: bool = True


class SearchLag(RuleBase, frozen=True, tag="search_lag"):
    """Messages accepted while this is set become visible in the search only after so many seconds.

    Setting other rules or deleting them ends the lag of messages accepted before.
    """

    seconds: Seconds
    jitter_s: Seconds = 0


class SearchDown(RuleBase, frozen=True, tag="search_down"):
    """The search and the details of messages answer an error while sending goes on."""

    status: Status = 503
    error_code: int = 100
    message: str | None = None


class RateLimit(RuleBase, frozen=True, tag="rate_limit"):
    """Status 429 with ErrorCode 429, with a Retry-After in seconds or without."""

    retry_after_s: Annotated[int, msgspec.Meta(ge=0, le=SECONDS_MAX)] | None = None


WholeAnswer = StatusAnswer | DropBefore | DropAfter | Hang | Malformed | SearchDown | RateLimit
Rule = (
    Latency | StatusAnswer | DropBefore | DropAfter | Hang | Malformed | ItemErrors | SearchLag | SearchDown | RateLimit
)


class FaultSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT /_sandbox/faults; it replaces what was set."""

    rules: Annotated[list[Rule], msgspec.Meta(max_length=RULES_MAX)] = []
    seed: int = 0


class RuleState(msgspec.Struct, frozen=True):
    """A rule as GET /_sandbox/faults shows it: how often it matched and how often it fired."""

    rule: Rule
    matched: int
    hits: int
    active: bool


class FaultsShown(msgspec.Struct, frozen=True):
    seed: int
    rules: list[RuleState]


def default_path(rule: Rule) -> str:
    return SEARCHING if isinstance(rule, SearchDown) else SENDING


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile one of a rule's regular expressions; raises ValueError with a text that names it."""
    try:
        return re.compile(pattern)
    except re.error as bad:
        raise ValueError(f"not a regular expression: {pattern!r}: {bad}") from bad
