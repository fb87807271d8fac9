"""Plays faults with seeds on several stacks at once, and judges each by the sandbox's log.

Most of a scenario is waiting, so several stacks share a machine. A stack is kept for a block of seeds of one
fault; after a failure it is not used again and its logs are kept, because the failure may still affect it.
"""

import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx
import msgspec
import psycopg
from rich.console import Console

from broadsheet_local.chaos.fault import Fault
from broadsheet_local.chaos.report import print_report, print_settings
from broadsheet_local.chaos.result import ChaosResult, SeedResult, summarise, summarise_fault
from broadsheet_local.chaos.sandbox import Sandbox
from broadsheet_local.chaos.shortened import SHORTENED
from broadsheet_local.chaos.stack import LOG_DISK, Stack
from broadsheet_local.chaos.stage import ScenarioError, Stage
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import all_or_first_error, in_thread
from broadsheet_local.supervision.supervisor import Say

BLOCK_SEEDS_MAX = 10
SCENARIO_MAX_S = 300.0
REPORT_WIDTH = 140
PROGRESS_INTERVAL_S = 20.0


class ChaosOptions(msgspec.Struct, frozen=True):
    faults: Sequence[Fault]
    seeds: int
    seed_from: int
    jobs: int
    as_json: bool
    keep: bool = False


class Block(msgspec.Struct):
    """Seeds of one fault that share a stack."""

    fault: Fault
    seeds: list[int]

    @property
    def weight(self) -> float:
        return self.fault.weight * len(self.seeds)


class ChaosRun:
    """`kill` ends it at once, without a graceful stop."""

    def __init__(self, options: ChaosOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._results: list[SeedResult] = []
        self._folder = Path()
        self._stacks = 0
        self._told = 0
        self._under_way: dict[str, str] = {}

    def kill(self) -> None:
        """Nothing to do: every stack is ended by SIGKILL anyway, and the guardians end what is left."""

    async def run(self) -> int:
        """0 when everything held, else 1."""
        options = self._options
        self._folder = Path(tempfile.mkdtemp(prefix="broadsheet-chaos-"))
        console = Console(stderr=True, width=None if sys.stderr.isatty() else REPORT_WIDTH)
        print_settings(dict(SHORTENED), console)
        began = time.monotonic()
        blocks = sorted(self._blocks(), key=lambda block: -block.weight)
        telling = asyncio.create_task(self._tell_what_runs())
        try:
            await all_or_first_error([self._work(blocks) for _ in range(min(options.jobs, len(blocks)))])
        finally:
            telling.cancel()
            if all(result.holds for result in self._results) and not options.keep:
                await in_thread(lambda: shutil.rmtree(self._folder, ignore_errors=True))
        result = self._summary(time.monotonic() - began)
        print_report(result, self._results, console)
        if options.keep:
            self._say(f"the logs and timelines are in {self._folder}")
        elif not result.holds:
            self._say(f"the logs and timelines of what failed are in {self._folder}")
        if options.as_json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
            sys.stdout.flush()
        return 0 if result.holds else 1

    def _blocks(self) -> list[Block]:
        options = self._options
        seeds = list(range(options.seed_from, options.seed_from + options.seeds))
        size = min(BLOCK_SEEDS_MAX, max(1, -(-len(seeds) * len(options.faults) // (options.jobs * 2))))
        return [
            Block(fault, seeds[first : first + size])
            for fault in options.faults
            for first in range(0, len(seeds), size)
        ]

    def _summary(self, elapsed_s: float) -> ChaosResult:
        options = self._options
        by_fault = [
            summarise_fault(
                fault.name,
                [one for one in self._results if one.fault == fault.name],
                bound=fault.bound,
                note=fault.note,
            )
            for fault in options.faults
        ]
        return summarise(by_fault, seeds=options.seeds, elapsed_seconds=elapsed_s, settings=dict(SHORTENED))

    async def _tell_what_runs(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
            self._say(f"under way: {', '.join(self._under_way.values()) or 'starting'}")

    async def _work(self, blocks: list[Block]) -> None:
        while blocks:
            block = blocks.pop(0)
            while block.seeds:
                await self._play_block(block)

    async def _play_block(self, block: Block) -> None:
        """Run the seeds of the block in order on one stack, until one fails or none is left. Each seed is removed
        when it was played.
        """
        self._stacks += 1
        folder = self._folder / f"stack-{self._stacks}"
        folder.mkdir()
        played: list[SeedResult] = []
        titles: dict[str, int] = {}
        late: Counter[int] = Counter()
        try:
            async with Stack(folder, block.fault.stack) as stack:
                while block.seeds:
                    seed = block.seeds.pop(0)
                    self._under_way[folder.name] = f"{block.fault.name} seed {seed}"
                    result, timeline = await self._play(stack, block.fault, seed, titles)
                    played.append(result)
                    if not result.holds or self._options.keep:
                        await in_thread(partial(self._keep, folder, result, timeline))
                    if not result.holds:
                        break
                    self._tell(result)
                late = await _sent_twice(stack, titles)
        except LaunchError as error:
            # A set-up that fails to start (or stop) must not end the others; it is reported like any failure.
            seed = played.pop().seed if played and not block.seeds else block.seeds.pop(0)
            played.append(SeedResult(block.fault.name, seed, 0, 0, 0, None, (f"the set-up failed: {error}",)))
            await in_thread(partial(self._keep, folder, played[-1], []))
        finally:
            self._under_way.pop(folder.name, None)
            for place, result in enumerate(played):
                if late.get(result.seed) and not result.duplicates:
                    text = f"{late[result.seed]} sent twice after the scenario had ended"
                    played[place] = msgspec.structs.replace(
                        result, duplicates=late[result.seed], problems=(*result.problems, text)
                    )
                    await in_thread(partial(self._keep, folder, played[place], []))
                if not played[place].holds:
                    self._tell(played[place])
            self._results += played
            await in_thread(partial(shutil.rmtree, folder, ignore_errors=True))

    async def _play(
        self, stack: Stack, fault: Fault, seed: int, titles: dict[str, int]
    ) -> tuple[SeedResult, list[str]]:
        stage = Stage(stack, fault=fault.name, seed=seed)
        try:
            try:
                async with asyncio.timeout(SCENARIO_MAX_S):
                    await fault.play(stage)
                    await stage.quiet()
            except (ScenarioError, LaunchError, TimeoutError, httpx.HTTPError, psycopg.Error) as error:
                stage.expect(holds=False, otherwise=f"the scenario broke off: {type(error).__name__} {error}")
            except Exception as error:  # noqa: BLE001  # a fault of a scenario's own must not end the others
                stage.expect(holds=False, otherwise=f"the scenario broke off: {error!r}\n{traceback.format_exc()}")
            judgements = []
            try:
                judgements = await stage.judge_all()
                for death in stack.unexpected_deaths():
                    stage.expect(holds=False, otherwise=death)
                if not stage.problems and all(one.holds for one in judgements):
                    await stage.clean_up()
            except (LaunchError, httpx.HTTPError) as error:
                stage.expect(holds=False, otherwise=f"after the scenario: {type(error).__name__} {error}")
            if not judgements:
                stage.expect(holds=False, otherwise="the scenario published nothing that could be judged")
            titles.update((campaign.title, seed) for campaign in stage.campaigns)
            result = SeedResult(
                fault=fault.name,
                seed=seed,
                lost=sum(one.lost for one in judgements) + stage.lost_acknowledged,
                duplicates=sum(one.duplicates for one in judgements),
                unsettled=sum(one.unsettled for one in judgements),
                recovery_seconds=stage.recovery_s,
                problems=(*stage.problems, *(text for one in judgements for text in one.problems)),
                note=stage.remark,
            )
            return result, stage.timeline
        finally:
            await stage.aclose()

    def _keep(self, stack_folder: Path, result: SeedResult, timeline: Sequence[str]) -> None:
        kept = self._folder / f"{result.fault}-seed-{result.seed}"
        for logs in ("logs", LOG_DISK):
            if (stack_folder / logs).is_dir():
                shutil.copytree(stack_folder / logs, kept, dirs_exist_ok=True)
        lines = [*timeline, "", *result.problems, "", f"again: {replay(result)}", ""]
        (kept / "timeline.txt").write_text("\n".join(lines))

    def _tell(self, result: SeedResult) -> None:
        count = self._options.seeds * len(self._options.faults)
        self._told += 1
        took = "" if result.recovery_seconds is None else f", recovered in {result.recovery_seconds:.1f} s"
        if result.holds:
            self._say(f"{self._told} of {count}: {result.fault} seed {result.seed} holds{took}")
        else:
            kept = self._folder / f"{result.fault}-seed-{result.seed}"
            problems = "\n  ".join(result.problems)
            self._say(
                f"{self._told} of {count}: {result.fault} seed {result.seed} DOES NOT HOLD:\n  {problems}\n"
                f"  timeline and logs: {kept}\n  again: {replay(result)}"
            )


async def _sent_twice(stack: Stack, titles: dict[str, int]) -> Counter[int]:
    """Check the whole log once more, for mails that came after a scenario's own judgement; counted by seed."""
    sandbox = Sandbox(stack.sandbox_url)
    got: Counter[tuple[str, str]] = Counter()
    try:
        async for one in sandbox.accepted():
            if one.message.subject in titles:
                got.update((one.message.subject, recipient) for recipient in one.recipients)
    except httpx.HTTPError:
        return Counter()  # a scenario that failed may have left it stopped; that failure is reported already
    finally:
        await sandbox.aclose()
    found: Counter[int] = Counter()
    for (title, _), count in got.items():
        if count > 1:
            found[titles[title]] += count - 1
    return found


def replay(result: SeedResult) -> str:
    return f"./run chaos --fault {result.fault} --seed-from {result.seed} --seeds 1"
