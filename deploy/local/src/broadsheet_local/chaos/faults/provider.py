"""Postmark loses answers, fails, hangs, slows down, refuses, or throttles."""

import asyncio
import time

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.shortened import CALL_TIMEOUT_S, CHUNK, FLOOR_S
from broadsheet_local.chaos.stage import Campaign, Stage

HEALED_MAX_S = 60.0
RECONCILE_MAX_S = 60.0
SETTLED_MAX_S = 150.0
"""Deliveries that an outage leaves uncertain are looked up with waits that grow to a minute."""
RELIABLE_LATENCY_MS = {"low_ms": 80, "high_ms": 250}

MALFORMED = ("truncated_json", "cut_body", "html_502", "wrong_length", "not_json", "empty")

Rule = dict[str, object]


async def drop_answers(stage: Stage) -> None:
    """Postmark accepts and the answer is lost: on the wire, half-way, or replaced by a proxy's."""
    kinds: list[Rule] = [
        {"kind": "drop_after"},
        {"kind": "drop_after", "reset": True},
        {"kind": "hang", "accept": True, "seconds": CALL_TIMEOUT_S * 3},
        {"kind": "status", "status": 500, "error_code": 101, "accept": True},
    ]
    kinds += [{"kind": "malformed", "shape": shape} for shape in MALFORMED]
    chosen = stage.random.sample(kinds, 3)
    rules: list[Rule] = [
        {**rule, "name": f"lost-{place}", "probability": stage.random.uniform(0.1, 0.4), "count": 6}
        for place, rule in enumerate(chosen)
    ]
    lag_s = stage.random.choice([0.0, stage.random.uniform(0.5, FLOOR_S + 3.0)])
    if lag_s:
        rules.append({"kind": "search_lag", "name": "lag", "seconds": lag_s})
    stage.note(f"answers get lost: {chosen}; the search lags by {lag_s:.1f} s")
    await stage.slow_calls(*rules, **RELIABLE_LATENCY_MS)
    campaign = await stage.publish(stage.random.randint(800, 1500))
    seconds = await stage.settled(campaign)
    hits = await stage.sandbox.fault_hits()
    stage.expect(any(hits.get(f"lost-{place}") for place in range(3)), f"no answer was lost: {hits}")
    stage.recovered(seconds, within_s=RECONCILE_MAX_S, what="from the publish call, every lost answer was settled")


async def search_down(stage: Stage) -> None:
    """Answers are lost while the search is down too: no mail counts as unsent before the search answers."""
    down_s = stage.random.uniform(6.0, 12.0)
    await stage.slow_calls(
        {"kind": "drop_after", "name": "drop", "probability": 0.3, "count": 10},
        {"kind": "search_down", "name": "down", "for_s": down_s, "status": stage.random.choice([500, 503])},
        **RELIABLE_LATENCY_MS,
    )
    began = time.monotonic()
    campaign = await stage.publish(stage.random.randint(500, 1000))
    await is_settled(stage, campaign)
    stage.recovered(
        max(0.0, time.monotonic() - began - down_s), within_s=HEALED_MAX_S, what="from the search's return, all settled"
    )


async def outage_500(stage: Stage) -> None:
    """500 for a while; some of the mails are accepted, some not."""
    await _outage(stage, {"kind": "status", "status": 500, "error_code": 101, "accept": stage.chance(0.5)})


async def outage_503(stage: Stage) -> None:
    """Maintenance: 503 with code 100, which proves that nothing was accepted; or a page without it, which proves
    nothing.
    """
    maintenance: Rule = {"kind": "status", "status": 503, "error_code": 100}
    page: Rule = {"kind": "status", "status": 503, "body": "<h1>maintenance</h1>", "content_type": "text/html"}
    await _outage(stage, stage.random.choice([maintenance, page]))


async def outage_hang(stage: Stage) -> None:
    """No call gets an answer; what was sent may have been accepted."""
    await _outage(stage, {"kind": "hang", "seconds": CALL_TIMEOUT_S * 4, "accept": stage.chance(0.5)})


async def outage_slow(stage: Stage) -> None:
    """Every call takes almost the whole time-out, and some take longer."""
    await _outage(
        stage,
        {
            "kind": "latency",
            "latency_ms": CALL_TIMEOUT_S * 600,
            "jitter_ms": CALL_TIMEOUT_S * 550,
            "accept_first": True,
        },
        breaker=False,
    )


async def outage_drops(stage: Stage) -> None:
    """Connections are closed or reset before anything was accepted."""
    await _outage(stage, {"kind": "drop_before", "reset": stage.chance(0.5)})


async def _outage(stage: Stage, rule: Rule, *, breaker: bool = True) -> None:
    """`breaker`: whether the circuit breaker must stop calls before a whole issue's calls meet the fault."""
    await stage.slow_calls(**RELIABLE_LATENCY_MS)
    campaign = await stage.publish(stage.random.randint(1000, 1500))
    await stage.moment(campaign, high=0.3)
    for_s = stage.random.uniform(3.0, 9.0)
    await stage.sandbox.set_faults({**rule, "name": "outage"}, seed=stage.seed)
    stage.note(f"outage: {rule}")
    await asyncio.sleep(for_s)
    hits = (await stage.sandbox.fault_hits())["outage"]
    await stage.sandbox.clear_faults()
    stage.note(f"healed after {for_s:.1f} s and {hits} calls")
    if breaker:
        chunks = len(campaign.readers.addresses) // CHUNK
        stage.expect(
            hits <= chunks * 2 / 3, f"no breaker: {hits} calls into the outage, for an issue of {chunks} chunks"
        )
    await healed(stage, campaign)


async def healed(stage: Stage, campaign: Campaign) -> None:
    """Sending resumes by itself within its bound; uncertain deliveries may take as long as the reconciler's bound."""
    before = campaign.last

    async def resumes() -> bool:
        await asyncio.sleep(0)
        now = campaign.last
        if now is None or before is None:
            return False
        return now.status == campaign.expected.ends_as or now.counts.accepted > before.counts.accepted

    seconds = await stage.when(resumes, within_s=HEALED_MAX_S * 2)
    stage.recovered(seconds, within_s=HEALED_MAX_S, what="from the healing, sending went on")
    if await stage.settled(campaign, within_s=SETTLED_MAX_S) is None:
        stage.expect(holds=False, otherwise=f"not settled within {SETTLED_MAX_S:g} s of the healing")


async def too_many_requests(stage: Stage) -> None:
    """429 without Retry-After: all replicas back off together, and resume by themselves."""
    await stage.slow_calls(**RELIABLE_LATENCY_MS)
    campaign = await stage.publish(stage.random.randint(1000, 1500))
    await stage.moment(campaign, high=0.3)
    for_s = stage.random.uniform(4.0, 8.0)
    await stage.sandbox.set_faults({"kind": "rate_limit", "name": "429"}, seed=stage.seed)
    await asyncio.sleep(for_s)
    hits = (await stage.sandbox.fault_hits())["429"]
    await stage.sandbox.clear_faults()
    stage.note(f"429 for {for_s:.1f} s: {hits} calls were made into it")
    chunks = len(campaign.readers.addresses) // CHUNK
    stage.expect(
        hits <= chunks, f"{hits} calls were made into the burst of 429s, more than the issue's {chunks} chunks"
    )
    await healed(stage, campaign)
