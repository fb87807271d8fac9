"""Decides which faults a request meets, by the rules in force."""

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from broadsheet_postmark_sandbox.api.errors import Refusal, refusal_for
from broadsheet_postmark_sandbox.faults.rules import (
    DropAfter,
    DropBefore,
    FaultSet,
    FaultsShown,
    Hang,
    ItemErrors,
    Latency,
    Malformed,
    RateLimit,
    Rule,
    RuleState,
    SearchDown,
    SearchLag,
    StatusAnswer,
    WholeAnswer,
    compiled,
    default_path,
)


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A message of a request, with the fields that rules match; recipients are lower-cased."""

    stream: str
    recipients: tuple[str, ...]
    metadata: dict[str, str]


class Decision(msgspec.Struct):
    """The decision for one request: wait `delay_s`, take effect, wait `late_s`, answer.

    The keys of `refused` and `lag_s` are the places of messages in the request.
    """

    delay_s: float = 0.0
    late_s: float = 0.0
    answer: WholeAnswer | None = None
    refused: dict[int, Refusal] = {}
    lag_s: dict[int, float] = {}


NOTHING = Decision()


class ArmedRule:
    """A rule with its random generator, counters and compiled patterns. Raises ValueError for an invalid pattern."""

    def __init__(self, rule: Rule, generator: random.Random, now: Callable[[], float]) -> None:
        self.rule = rule
        self.matched = 0
        self.hits = 0
        self._generator = generator
        self._now = now
        self._ends_at = None if rule.for_s is None else now() + rule.for_s
        match = rule.match
        self._path = compiled(match.path if match.path is not None else default_path(rule))
        self._recipient = None if match.recipient is None else compiled(match.recipient)
        self._metadata = {key: compiled(value) for key, value in match.metadata.items()}
        self._addresses: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        if isinstance(rule, ItemErrors):
            self._addresses = frozenset(address.lower() for address in rule.recipients)
            self._pattern = None if rule.pattern is None else compiled(rule.pattern)

    @property
    def active(self) -> bool:
        spent = self.rule.count is not None and self.hits >= self.rule.count
        return not spent and (self._ends_at is None or self._now() < self._ends_at)

    def covers(self, method: str, path: str) -> bool:
        match = self.rule.match
        return (match.method is None or match.method == method) and self._path.fullmatch(path) is not None

    def covers_message(self, message: Candidate) -> bool:
        match = self.rule.match
        if match.stream is not None and match.stream != message.stream:
            return False
        recipient = self._recipient
        if recipient is not None and not any(recipient.search(a) for a in message.recipients):
            return False
        return all(
            key in message.metadata and pattern.fullmatch(message.metadata[key])
            for key, pattern in self._metadata.items()
        )

    def covers_any(self, messages: Sequence[Candidate]) -> bool:
        return not self.rule.match.about_messages or any(map(self.covers_message, messages))

    def targets(self, message: Candidate) -> str | None:
        """The address for which an item error refuses this message, or None."""
        if not self.covers_message(message):
            return None
        if not self._addresses and self._pattern is None:
            return message.recipients[0] if message.recipients else ""
        for address in message.recipients:
            if address in self._addresses or (self._pattern is not None and self._pattern.search(address)):
                return address
        return None

    def fires(self) -> bool:
        """Count a match. Returns whether the rule fires."""
        if not self.active:
            return False
        self.matched += 1
        chance = self._generator.random()
        if self.matched <= self.rule.skip or chance >= self.rule.probability:
            return False
        self.hits += 1
        return True

    def between(self, low: float, more: float) -> float:
        return low + more * self._generator.random() if more else low


class FaultInjector:
    """The rules in force. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seed = 0
        self._rules: list[ArmedRule] = []

    @property
    def any_set(self) -> bool:
        return bool(self._rules)

    def replace(self, faults: FaultSet) -> None:
        """Replace the rules. Raises ValueError for an invalid pattern, changing nothing."""
        armed = [
            # Not cryptographic: the same seed must give the same faults.
            ArmedRule(rule, random.Random(f"{faults.seed}/{place}"), self._now)  # noqa: S311
            for place, rule in enumerate(faults.rules)
        ]
        self._seed = faults.seed
        self._rules = armed

    def shown(self) -> FaultsShown:
        return FaultsShown(
            seed=self._seed,
            rules=[RuleState(rule=r.rule, matched=r.matched, hits=r.hits, active=r.active) for r in self._rules],
        )

    def decide(self, method: str, path: str, messages: Sequence[Candidate] = ()) -> Decision:
        """Decide on a request; counts matches and hits."""
        if not self._rules:
            return NOTHING
        decision = Decision(refused={}, lag_s={})
        for armed in self._rules:
            if armed.active and armed.covers(method, path):
                self._apply(armed, messages, decision)
        return decision

    def _apply(self, armed: ArmedRule, messages: Sequence[Candidate], decision: Decision) -> None:
        rule = armed.rule
        if isinstance(rule, ItemErrors):
            _refuse_items(armed, rule, messages, decision)
            return
        decided = decision.answer is not None and isinstance(rule, WholeAnswer)
        if decided or not armed.covers_any(messages) or not armed.fires():
            return
        match rule:
            case Latency():
                _delay(armed, rule, decision)
            case SearchLag():
                for place, message in enumerate(messages):
                    if armed.covers_message(message):
                        decision.lag_s[place] = armed.between(rule.seconds, rule.jitter_s)
            case StatusAnswer() | DropBefore() | DropAfter() | Hang() | Malformed() | SearchDown() | RateLimit():
                decision.answer = rule
            case _:
                assert_never(rule)


def _delay(armed: ArmedRule, rule: Latency, decision: Decision) -> None:
    delay_s = armed.between(rule.latency_ms, rule.jitter_ms) / 1000
    if rule.accept_first:
        decision.late_s += delay_s
    else:
        decision.delay_s += delay_s


def _refuse_items(armed: ArmedRule, rule: ItemErrors, messages: Sequence[Candidate], decision: Decision) -> None:
    for place, message in enumerate(messages):
        if place in decision.refused or not armed.active:
            continue
        address = armed.targets(message)
        if address is None or not armed.fires():
            continue
        decision.refused[place] = (
            refusal_for(rule.error_code, address, name_address=rule.name_address)
            if rule.message is None
            else Refusal(rule.error_code, rule.message)
        )
