"""The SQL of exporting and erasing a person: plain functions that take the connection of the caller's transaction."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http import idempotency
from broadsheet_common.mail.email_address import EmailAddress, exact_pattern
from broadsheet_subscriptions.personal_data.records import RECORDS, PersonalRecord
from broadsheet_subscriptions.sign_up.interface import hash_mailbox
from broadsheet_subscriptions.tables import idempotency_key

ERASED_ADDRESS = "erased@erased.example"
"""Replaces an erased address in a segment's filter. Like the erased address, it matches nobody: the domain is
reserved (RFC 2606).
"""


class Erased(msgspec.Struct, frozen=True):
    """`finished`: delivery has removed the person's data too."""

    subscriber_id: int
    erased_at: datetime
    finished: bool


async def find_address_key(connection: AsyncConnection, subscriber_id: int, *, lock: bool) -> str | None:
    row = await connection.execute(
        sa.text(f"""
            SELECT email_key FROM subscriptions.subscriber WHERE id = :subscriber_id {"FOR UPDATE" if lock else ""}
        """),  # two constant texts
        {"subscriber_id": subscriber_id},
    )
    found: str | None = row.scalar_one_or_none()
    return found


async def list_address_keys(connection: AsyncConnection, subscriber_id: int, *, with_asked_for: bool) -> list[str]:
    """The addresses that the person has or had, each confirmed from its mailbox, except those that another
    subscriber has now.

    `with_asked_for`: also the addresses that they only asked to change to. Such an address may be a stranger's,
    so this person may not see the data held about it.
    """
    rows = await connection.execute(
        sa.text("""
            WITH theirs AS (
                SELECT email_key FROM subscriptions.subscriber WHERE id = :subscriber_id
                UNION SELECT old_email_key FROM subscriptions.address_change
                       WHERE subscriber_id = :subscriber_id AND confirmed_at IS NOT NULL
                UNION SELECT new_email_key FROM subscriptions.address_change
                       WHERE subscriber_id = :subscriber_id AND :with_asked_for
            )
            SELECT email_key FROM theirs
             WHERE NOT EXISTS (SELECT FROM subscriptions.subscriber AS other
                                WHERE other.email_key = theirs.email_key AND other.id <> :subscriber_id)
             ORDER BY email_key
        """),
        {"subscriber_id": subscriber_id, "with_asked_for": with_asked_for},
    )
    return list(rows.scalars())


async def read_record(
    connection: AsyncConnection, record: PersonalRecord, *, subscriber_id: int, email_keys: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    members = ", ".join(f"'{column}', held.{column}" for column in record.columns)
    rows = await connection.execute(
        sa.text(f"""
            SELECT jsonb_build_object({members}) AS item FROM {record.table} AS held
             WHERE {record.where} ORDER BY {record.order_by} LIMIT :limit
        """)
        .bindparams(*_bound(record))
        .columns(item=postgresql.JSONB),  # our own constants
        _parameters(record, subscriber_id, email_keys) | {"limit": limit},
    )
    return list(rows.scalars())


async def delete_unreferring(connection: AsyncConnection, *, subscriber_id: int, email_keys: Sequence[str]) -> None:
    """Deletes the rows that are not deleted together with the subscriber's row."""
    for record in RECORDS:
        if record.erased_by == "statement":
            await connection.execute(
                sa.text(f"DELETE FROM {record.table} AS held WHERE {record.where}").bindparams(*_bound(record)),
                _parameters(record, subscriber_id, email_keys),
            )


async def forget_in_segments(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """Replaces these addresses where an author wrote one of them, whole, into a segment's filter. No subscriber has
    such an address any more, so the segment's meaning does not change.
    """
    for table, key in (("subscriptions.segment", "id"), ("subscriptions.audience", "issue_id")):
        await connection.execute(
            # In the text of a jsonb value, a string is in quotes. Characters that are special in a pattern are escaped.
            # Rows are locked in one order; otherwise two erasures could deadlock.
            sa.text(f"""
                UPDATE {table} AS held
                   SET filter = CAST(regexp_replace(CAST(held.filter AS text), :pattern, :instead, 'gi') AS jsonb)
                 WHERE {key} = ANY (ARRAY (SELECT {key} FROM {table}
                                            WHERE CAST(filter AS text) ~* :pattern ORDER BY {key} FOR UPDATE))
            """).bindparams(
                sa.bindparam("pattern", type_=sa.Text), sa.bindparam("instead", type_=sa.Text)
            ),  # constants
            {
                "pattern": "|".join(re.escape(_as_json(key)) for key in email_keys),
                "instead": _as_json(ERASED_ADDRESS),
            },
        )


async def delete_requests_of_others(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """Deletes unconfirmed changes to one of these addresses that other subscribers asked for."""
    await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.address_change WHERE id = ANY (ARRAY (
                SELECT id FROM subscriptions.address_change
                 WHERE new_email_key = ANY (:email_keys) AND confirmed_at IS NULL ORDER BY id FOR UPDATE))
        """).bindparams(sa.bindparam("email_keys", type_=postgresql.ARRAY(sa.Text))),
        {"email_keys": list(email_keys)},
    )


async def forget_answers(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """Deletes stored answers to repeatable requests that contain one of the addresses."""
    await idempotency.forget_answers(connection, idempotency_key, [_as_json(key) for key in email_keys])


async def delete_subscriber(connection: AsyncConnection, subscriber_id: int, *, requested_by: str) -> None:
    """Deletes the subscriber and records the erasure, without naming the person."""
    await connection.execute(
        sa.text("""
            WITH gone AS (DELETE FROM subscriptions.subscriber WHERE id = :subscriber_id RETURNING id)
            INSERT INTO subscriptions.erasure (subscriber_id, requested_by) SELECT id, :requested_by FROM gone
        """),
        {"subscriber_id": subscriber_id, "requested_by": requested_by},
    )


async def find_erasure(connection: AsyncConnection, subscriber_id: int) -> Erased | None:
    row = await connection.execute(
        sa.text("""
            SELECT erased.subscriber_id, erased.erased_at, coalesce(rest.finished, true) AS finished
              FROM subscriptions.erasure AS erased
              LEFT JOIN delivery.published_erasures AS rest ON rest.subscriber_id = erased.subscriber_id
             WHERE erased.subscriber_id = :subscriber_id
        """),
        {"subscriber_id": subscriber_id},
    )
    found = row.one_or_none()
    return None if found is None else Erased(*found)


def _as_json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _bound(record: PersonalRecord) -> list[sa.BindParameter[Any]]:
    known: dict[str, sa.BindParameter[Any]] = {
        "subscriber_id": sa.bindparam("subscriber_id", type_=sa.BigInteger),
        "email_keys": sa.bindparam("email_keys", type_=postgresql.ARRAY(sa.Text)),
        "email_patterns": sa.bindparam("email_patterns", type_=postgresql.ARRAY(sa.Text)),
        "mailbox_hashes": sa.bindparam("mailbox_hashes", type_=postgresql.ARRAY(sa.LargeBinary)),
    }
    return [parameter for name, parameter in known.items() if f":{name}" in record.where]


def _parameters(record: PersonalRecord, subscriber_id: int, email_keys: Sequence[str]) -> dict[str, object]:
    known: dict[str, object] = {
        "subscriber_id": subscriber_id,
        "email_keys": list(email_keys),
        "email_patterns": [exact_pattern(key) for key in email_keys],
        "mailbox_hashes": [hash_mailbox(EmailAddress(key)) for key in email_keys],
    }
    return {name: value for name, value in known.items() if f":{name}" in record.where}
