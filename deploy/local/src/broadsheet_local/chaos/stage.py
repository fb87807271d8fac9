"""What a scenario works with: the stack, one seed's random numbers, its issues, and a task that watches their
counts.

    async def kill_a_sender(stage: Stage) -> None:
        campaign = await stage.publish(stage.random.randint(600, 1200))
        await stage.moment(campaign)
        ...
        await stage.settled(campaign, within_s=…)

A scenario only causes events and states what must be observed meanwhile (`expect`, `recovered`). The runner
judges its issues by the sandbox's log, whatever the scenario says.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_local.chaos.api import Answer, Api, IssueView
from broadsheet_local.chaos.readers import Readers, import_readers
from broadsheet_local.chaos.sandbox import Sandbox
from broadsheet_local.chaos.shortened import CALL_TIMEOUT_S
from broadsheet_local.chaos.stack import Stack
from broadsheet_local.chaos.verdict import Ending, Expectation, Judgement, Reported, identity_holds, judge
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread

WATCH_POLL_S = 0.25
POLL_S = 0.1
REFUSED_MAX_S = 90.0
"""How long a request of the scenario itself may be refused. A busy machine starts a service in half a minute."""
SETTLE_MAX_S = 90.0
HTML = "<p>Hello {{ subscriber.name }}, this is {{ issue.title }}.</p>"
TEXT = "Hello {{ subscriber.name }}, this is {{ issue.title }}."


class ScenarioError(Exception):
    """The scenario could not be played to its end: what it waited for did not happen in time."""


class Campaign:
    """One published issue and what is expected of it; a scenario changes `expected` as its fault takes effect."""

    def __init__(self, title: str, issue_id: int, readers: Readers, first_after: int) -> None:
        self.title = title
        self.subjects = frozenset({title})
        """Of its mails."""
        self.issue_id = issue_id
        self.readers = readers
        self.expected = Expectation(audience=readers.addresses)
        self.last: IssueView | None = None
        self.status_since_s = 0.0
        """When the watcher first saw the status that it sees now (monotonic). A scenario may wait for other things
        meanwhile, such as the start of a process.
        """
        self.after = first_after
        """Sequence number of the sandbox's last message before it was published."""

    def expect_final(self, endings: Mapping[str, Ending]) -> None:
        """The fault makes these final without a mail."""
        self.expected = msgspec.structs.replace(self.expected, final={**self.expected.final, **endings})

    def expect_gone(self, addresses: Iterable[str]) -> None:
        """These must get nothing, under whichever outcome they are counted."""
        self.expected = msgspec.structs.replace(self.expected, gone=frozenset(addresses))

    def expect_leavers(self, addresses: Iterable[str]) -> None:
        """These unsubscribe while it is sent: they get it once, or not at all."""
        self.expected = msgspec.structs.replace(self.expected, may_be_excluded=frozenset(addresses))


class Stage:
    def __init__(self, stack: Stack, *, fault: str, seed: int) -> None:
        self.stack = stack
        self.fault = fault
        self.seed = seed
        # Seeded with a string, so that neighbouring seeds and faults share no random numbers. Not for secrets.
        self.random = random.Random(f"{fault}/{seed}")  # noqa: S311
        self.api = Api(stack.addresses.gateway_url, stack.credentials.api_key)
        self.sandbox = Sandbox(stack.sandbox_url)
        self.campaigns: list[Campaign] = []
        self.problems: list[str] = []
        self.timeline: list[str] = []
        self.recovery_s: float | None = None
        self.lost_acknowledged = 0
        """Writes that were acknowledged and are missing, as counted by the scenario itself."""
        self.remark = ""
        """A note about this machine for the report, such as the way in which a fault was caused."""
        self._began = time.monotonic()
        self._watches: list[asyncio.Task[None]] = []
        self._stack_age = secrets.token_hex(3)

    async def aclose(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self.api.aclose()
        await self.sandbox.aclose()

    # -- words of scenarios ---------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.timeline.append(f"{time.monotonic() - self._began:8.3f} s  {text}")

    def expect(self, holds: object, otherwise: str) -> None:
        """Note what must hold; a failure is recorded and the scenario goes on."""
        if not holds:
            self.problems.append(otherwise)
            self.note(f"DOES NOT HOLD: {otherwise}")

    def recovered(self, seconds: float | None, *, within_s: float, what: str) -> None:
        """Record that `what` came `seconds` after the healing (or the fault); None when it did not come within its
        bound.
        """
        if seconds is None:
            self.recovery_s = max(self.recovery_s or 0.0, within_s)
            self.expect(holds=False, otherwise=f"{what}: not within {within_s:g} s")
            return
        self.note(f"{what} after {seconds:.2f} s (at most {within_s:g} s)")
        self.recovery_s = max(self.recovery_s or 0.0, seconds)
        self.expect(seconds <= within_s, f"{what} took {seconds:.2f} s, more than {within_s:g} s")

    def chance(self, probability: float) -> bool:
        """A random yes or no, from the seed."""
        return self.random.random() < probability

    async def pause_s(self, low: float, high: float) -> None:
        """Wait for a random time, from the seed."""
        await asyncio.sleep(self.random.uniform(low, high))

    async def until(self, holds: Callable[[], Awaitable[bool]], *, within_s: float, what: str) -> float:
        """Seconds until the condition holds; raises ScenarioError when it does not in time."""
        seconds = await self.when(holds, within_s=within_s)
        if seconds is None:
            raise ScenarioError(f"{what}: not within {within_s:g} s")
        return seconds

    @staticmethod
    async def when(holds: Callable[[], Awaitable[bool]], *, within_s: float) -> float | None:
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            if await holds():
                return time.monotonic() - began
            await asyncio.sleep(POLL_S)
        return None

    async def slow_calls(self, *more: dict[str, object], low_ms: int = 150, high_ms: int = 500) -> None:
        """Make calls slow, so that they overlap the fault; sets the other rules `more` as well."""
        latency = self.random.randint(low_ms, high_ms)
        jitter = self.random.randint(0, latency)
        rule = {"kind": "latency", "name": "latency", "latency_ms": latency, "jitter_ms": jitter}
        self.note(f"a call takes {latency} ms and up to {jitter} ms more")
        await self.sandbox.set_faults(rule, *more, seed=self.seed)

    # -- issues ---------------------------------------------------------------------------------------------------

    def slug(self) -> str:
        return f"{self.fault}-{self.seed}-{self._stack_age}-{len(self.campaigns)}"[-60:].strip("-")

    async def readers(self, count: int) -> Readers:
        slug = self.slug()
        return await in_thread(lambda: import_readers(self.stack.postgres.url, slug, count))

    async def publish(self, audience: int | Readers, *, html: str = HTML) -> Campaign:
        """Write and publish an issue to new readers; a temporary refusal is retried under the same key."""
        readers = audience if isinstance(audience, Readers) else await self.readers(audience)
        title = f"Issue {self.slug()}"
        after = await self.sandbox.messages()
        issue = await self.create_issue(readers, title, html=html, publish=True)
        self.note(f"published issue {issue} to {len(readers.addresses)}")
        return self.adopt(title, issue, readers, after)

    def adopt(self, title: str, issue_id: int, readers: Readers, after: int) -> Campaign:
        """Watch and judge an issue; `after` is the number of the sandbox's last message before it was published."""
        campaign = Campaign(title, issue_id, readers, after)
        self.campaigns.append(campaign)
        self._watches.append(asyncio.create_task(self._watch(campaign)))
        return campaign

    async def create_issue(self, readers: Readers, title: str, *, html: str = HTML, publish: bool) -> int:
        body = {
            "title": title,
            "format": "html",
            "content": html,
            "text_content": TEXT,
            "newsletter_id": readers.newsletter_id,
            "publish": publish,
        }
        answer = await self.insist("POST", "/api/v1/issues", json=body, key=f"create-{title}")
        issue_id: int = answer.json()["id"]
        return issue_id

    async def insist(
        self,
        method: str,
        path: str,
        *,
        key: str,
        json: object = None,
        ends: Callable[[Answer], bool] = lambda answer: answer.succeeded,
    ) -> Answer:
        """Retry until an answer `ends` it (by default: a success), under one idempotency key, within a bound."""
        began = time.monotonic()
        while True:
            answer: Answer = await self.api.request(method, path, json=json, headers={"Idempotency-Key": key})
            if ends(answer):
                return answer
            if time.monotonic() - began > REFUSED_MAX_S:
                raise ScenarioError(f"{method} {path} was refused for {REFUSED_MAX_S:g} s, last with {answer}")
            await asyncio.sleep(0.25)

    async def recipients(self, campaign: Campaign) -> AsyncIterator[str]:
        """From the sandbox's log: the recipient of each accepted message of the issue."""
        async for one in self.sandbox.accepted(after=campaign.after):
            if one.message.subject in campaign.subjects:
                for recipient in one.recipients:
                    yield recipient

    def unsubscribe_token(self, subscription_id: int) -> str:
        """The token of the link in this reader's mail."""
        signer = LinkSigner.parse(self.stack.credentials.link_signing_keys_file.read_text())
        return signer.sign("unsubscribe", subscription_id)

    async def moment(self, campaign: Campaign, *, low: float = 0.05, high: float = 0.6) -> float:
        """Wait until a random part of the issue was accepted, and a random time more; returns the part."""
        part = self.random.uniform(low, high)
        wanted = campaign.after + int(part * len(campaign.readers.addresses))
        if await self.sandbox.until_more_than(wanted, timeout_s=SETTLE_MAX_S) is None:
            raise ScenarioError(f"only {await self.sandbox.messages() - campaign.after} mails of {campaign.title} came")
        await self.pause_s(0.0, 0.4)
        self.note(f"{part:.0%} of issue {campaign.issue_id} was accepted")
        return part

    async def settled(self, campaign: Campaign, *, within_s: float = SETTLE_MAX_S) -> float | None:
        """Seconds until the API says `sent` (or what is expected); None when it does not in time."""

        async def ended() -> bool:
            await asyncio.sleep(0)
            return campaign.last is not None and campaign.last.status == campaign.expected.ends_as

        seconds = await self.when(ended, within_s=within_s)
        self.note(f"issue {campaign.issue_id}: {_told(campaign.last)}")
        return seconds

    async def _watch(self, campaign: Campaign) -> None:
        """Check the accounting identity all the time."""
        while True:
            seen = await self.api.issue(campaign.issue_id)
            if isinstance(seen, IssueView):
                if not identity_holds(seen.counts):
                    self.expect(holds=False, otherwise=f"the counts did not add up: {seen.counts}")
                if campaign.last is None or campaign.last.status != seen.status:
                    self.note(f"issue {campaign.issue_id} is {_told(seen)}")
                    campaign.status_since_s = time.monotonic()
                campaign.last = seen
            await asyncio.sleep(WATCH_POLL_S)

    # -- judgement ------------------------------------------------------------------------------------------------

    async def judge_all(self) -> list[Judgement]:
        judgements = []
        for campaign in self.campaigns:
            accepted = [recipient async for recipient in self.recipients(campaign)]
            reported = await self._report(campaign)
            judgements.append(judge(campaign.expected, accepted, reported))
            self.note(f"judged issue {campaign.issue_id}: {'; '.join(judgements[-1].problems) or 'holds'}")
        return judgements

    async def _report(self, campaign: Campaign) -> Reported | None:
        for _ in range(20):
            seen = await self.api.issue(campaign.issue_id)
            if isinstance(seen, IssueView):
                return Reported(seen.status, seen.counts)
            await asyncio.sleep(0.25)
        return None

    async def quiet(self) -> None:
        """Wait long enough for any call under way to end: its mails are then in the log."""
        await asyncio.sleep(CALL_TIMEOUT_S / 3)

    async def clean_up(self) -> None:
        """Leave the stack as it was found, for the next seed."""
        await self.sandbox.clear_faults()
        await self.stack.make_whole()

        async def runs() -> bool:
            sending = await self.api.sending()
            if sending is not None and sending.state == "paused":
                await self.api.request("POST", "/api/v1/senders/resume")
            return sending is not None and sending.state != "paused"

        if await self.when(runs, within_s=30.0) is None:
            raise LaunchError("the stack did not come back to sending after a scenario")


def _told(issue: IssueView | None) -> str:
    if issue is None:
        return "not seen yet"
    shown: dict[str, Any] = msgspec.structs.asdict(issue.counts)
    told = ", ".join(f"{value} {name}" for name, value in shown.items() if value)
    return f"{issue.status}{f' ({issue.status_reason})' if issue.status_reason else ''}: {told}"
