"""Suppress addresses with too many soft bounces, or undo it when a mail turns out to have arrived between the
bounces.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.events.provider_event import ProviderEvent
from broadsheet_delivery.suppressions.soft_bounce_rule import SoftBounceRule, broken_at
from broadsheet_delivery.suppressions.soft_bounce_store import (
    read_evidence,
    suppress_by_rule,
    suppressed_by_rule,
    take_rule_back,
)
from broadsheet_delivery.suppressions.suppression import CountSoftBounce


async def count_soft_bounces(
    connection: AsyncConnection, rule: SoftBounceRule, events: Sequence[ProviderEvent]
) -> None:
    """After new events were recorded, in the same transaction. Nearly all are about delivered mail: those cost one
    look-up of whom the rule suppresses.
    """
    bounced = {_address(event) for event in events if isinstance(event.effect, CountSoftBounce) and event.email_key}
    arrived = {_address(event) for event in events if event.record_type == "Delivery" and event.email_key}
    held = await suppressed_by_rule(connection, sorted(arrived)) if arrived else set()
    for stream, key in sorted(bounced | held):
        evidence = await read_evidence(connection, stream=stream, email_key=key, window=rule.window)
        moment = broken_at(rule, evidence.bounces, evidence.arrivals)
        if moment is not None:
            await suppress_by_rule(connection, stream=stream, email_key=key, since=moment)
        elif (stream, key) in held and evidence.arrivals:
            await take_rule_back(connection, stream=stream, email_key=key, arrived_at=max(evidence.arrivals))


def _address(event: ProviderEvent) -> tuple[str, str]:
    return event.effective_stream, event.email_key or ""
