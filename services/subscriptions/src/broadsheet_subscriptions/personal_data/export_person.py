"""All data held about a person, here and at delivery, as one document: the same for the operator and for the person."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.erasure import read_person_data
from broadsheet_common.http.problems import NotFoundError
from broadsheet_subscriptions.personal_data import store
from broadsheet_subscriptions.personal_data.records import RECORDS

ROWS_A_SECTION_MAX = 5_000


class PersonalData(msgspec.Struct, frozen=True):
    """`records` by section, each a list; `truncated` names the sections that hold more than is shown."""

    subscriber_id: int
    exported_at: datetime
    records: dict[str, list[dict[str, Any]]]
    truncated: list[str]


async def export_person(connection: AsyncConnection, subscriber_id: int) -> PersonalData:
    """Runs in the caller's transaction, preferably one snapshot (REPEATABLE READ). Raises NotFoundError."""
    if await store.find_address_key(connection, subscriber_id, lock=False) is None:
        raise NotFoundError("There is no such subscriber.")
    email_keys = await store.list_address_keys(connection, subscriber_id, with_asked_for=False)
    records: dict[str, list[dict[str, Any]]] = {}
    truncated: list[str] = []
    for record in RECORDS:
        rows = await store.read_record(
            connection, record, subscriber_id=subscriber_id, email_keys=email_keys, limit=ROWS_A_SECTION_MAX + 1
        )
        if len(rows) > ROWS_A_SECTION_MAX:
            truncated.append(record.section)
        records[record.section] = rows[:ROWS_A_SECTION_MAX]
    sent = await read_person_data(
        connection, subscriber_id=subscriber_id, email_keys=email_keys, rows_max=ROWS_A_SECTION_MAX
    )
    truncated += sent.pop("truncated")
    return PersonalData(subscriber_id, datetime.now(UTC), records | sent, truncated)
