"""The faults that the sandbox can make: the rules of PUT /_sandbox/faults.

Rules are tried in order for every request of the Postmark API that their `match` covers. Delays add up; item
errors and search lag combine. Of the rules that decide the whole answer, the first that fires wins. Each rule has
its own random generator, seeded with the set's seed and the rule's place, so the n-th request that a rule matches
meets the same fault in every run.
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
    """Which requests a rule covers; a field that is left out matches everything.

    path: a regular expression for the whole path; by default the sending endpoints (for rules about the search,
    the search's). stream, recipient (a regular expression searched in the lower-cased address) and metadata
    (regular expressions for whole values, by key) must all match one message of the request.
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
    """The fields of every rule.

    probability: the chance of firing at a match. skip: the first matches that do not fire. count: the largest
    number of times that it fires. for_s: how long the rule is active after it was set, in seconds.
    """

    name: str = ""
    match: Match = Match()
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    for_s: Seconds | None = None


class Latency(RuleBase, frozen=True, tag="latency"):
    """Wait before answering: latency_ms and up to jitter_ms more.

    Messages are accepted after the wait, or before it with accept_first. Then a client that times out has sent
    its mail, and webhooks can arrive before the answer.
    """

    latency_ms: Milliseconds
    jitter_ms: Milliseconds = 0
    accept_first: bool = False


class StatusAnswer(RuleBase, frozen=True, tag="status"):
    """Answer with this HTTP status, as Postmark's JSON with error_code, or with `body` unchanged.

    accept: accept the messages first, as Postmark may have done before an error 500.
    """

    status: Status
    error_code: int | None = None
    message: str | None = None
    body: str | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    accept: bool = False


class DropBefore(RuleBase, frozen=True, tag="drop_before"):
    """Close the connection without an answer and accept nothing. reset: send RST instead of FIN."""

    reset: bool = False


class DropAfter(RuleBase, frozen=True, tag="drop_after"):
    """Accept the messages, then close the connection without an answer."""

    reset: bool = False


class Hang(RuleBase, frozen=True, tag="hang"):
    """Keep the connection open without an answer for `seconds`, then close it."""

    seconds: Seconds = SECONDS_MAX
    accept: bool = False


class Malformed(RuleBase, frozen=True, tag="malformed"):
    """Answer with something other than the proper answer.

    truncated_json: status 200, the first half of the JSON, a length that fits it. cut_body: the connection closes
    half-way through the body. html_502: a proxy's error page. wrong_length: an array without its last item.
    not_json: status 200 and an HTML page. empty: status 200 and no body. no_error_code: success items without
    ErrorCode, as Postmark sends them when delivery may be delayed.
    """

    shape: Literal["truncated_json", "cut_body", "html_502", "wrong_length", "not_json", "empty", "no_error_code"]
    accept: bool = True


class ItemErrors(RuleBase, frozen=True, tag="item_errors"):
    """Refuse the messages to these addresses (exact, or matched by the pattern), each with its own error.

    If neither is given, every message is refused. Probability, skip and count apply to messages, not requests.
    name_address=False leaves the list of addresses in the text of 406 empty.
    """

    error_code: int = 406
    message: str | None = None
    recipients: frozenset[str] = frozenset()
    pattern: str | None = None
    name_address: bool = True


class SearchLag(RuleBase, frozen=True, tag="search_lag"):
    """Messages that are accepted while this rule is set become visible in the search only after `seconds`.

    Replacing or deleting the rules ends the lag of messages accepted before.
    """

    seconds: Seconds
    jitter_s: Seconds = 0


class SearchDown(RuleBase, frozen=True, tag="search_down"):
    """The search and the details of messages answer with an error while sending works."""

    status: Status = 503
    error_code: int = 100
    message: str | None = None


class RateLimit(RuleBase, frozen=True, tag="rate_limit"):
    """Status 429 with ErrorCode 429, with or without a Retry-After in seconds."""

    retry_after_s: Annotated[int, msgspec.Meta(ge=0, le=SECONDS_MAX)] | None = None


WholeAnswer = StatusAnswer | DropBefore | DropAfter | Hang | Malformed | SearchDown | RateLimit
Rule = (
    Latency | StatusAnswer | DropBefore | DropAfter | Hang | Malformed | ItemErrors | SearchLag | SearchDown | RateLimit
)


class FaultSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT /_sandbox/faults; it replaces the previous rules."""

    rules: Annotated[list[Rule], msgspec.Meta(max_length=RULES_MAX)] = []
    seed: int = 0


class RuleState(msgspec.Struct, frozen=True):
    """A rule as GET /_sandbox/faults shows it, with the numbers of its matches and hits."""

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
    """Compile one of a rule's regular expressions. Raises ValueError whose text contains it."""
    try:
        return re.compile(pattern)
    except re.error as bad:
        raise ValueError(f"not a regular expression: {pattern!r}: {bad}") from bad
