"""The SQL of exporting and erasing a person: plain functions that take the connection of the caller's transaction."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress, exact_pattern
from broadsheet_subscriptions.personal_data.records import RECORDS, PersonalRecord
from broadsheet_subscriptions.sign_up.store import hash_mailbox

ERASED_ADDRESS = "erased@erased.example"
"""Stands in a segment's filter where an erased address stood, and matches nobody, as that one does. The domain is
reserved (RFC 2606).
"""


class Erased(msgspec.Struct, frozen=True):
    """`finished`: delivery has taken the person out of everything too."""

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
    """Of the addresses that the person has or had, each confirmed from its mailbox, those that are nobody else's now.

    `with_asked_for`: also those that they only asked to have. Such a one may be a stranger's: what is held about it is
    not for this person to see.
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
    """What does not go with the subscriber's row."""
    for record in RECORDS:
        if record.erased_by == "statement":
            await connection.execute(
                sa.text(f"DELETE FROM {record.table} AS held WHERE {record.where}").bindparams(*_bound(record)),
                _parameters(record, subscriber_id, email_keys),
            )


async def forget_in_segments(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """Where an author wrote one of these addresses, whole, into a segment's filter. Nobody has it any more, so that the
    segment means what it meant.
    """
    for table, key in (("subscriptions.segment", "id"), ("subscriptions.audience", "issue_id")):
        await connection.execute(
            # In jsonb's text a string stands between quotes. What means more than itself in a pattern is escaped.
            # Locked in one order, or two erasures could wait for each other.
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
    """Changes to one of these addresses that others asked for, and that nobody confirmed."""
    await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.address_change WHERE id = ANY (ARRAY (
                SELECT id FROM subscriptions.address_change
                 WHERE new_email_key = ANY (:email_keys) AND confirmed_at IS NULL ORDER BY id FOR UPDATE))
        """).bindparams(sa.bindparam("email_keys", type_=postgresql.ARRAY(sa.Text))),
        {"email_keys": list(email_keys)},
    )


async def forget_answers(connection: AsyncConnection, email_keys: Sequence[str]) -> None:
    """First answers that are kept for repeated requests, and show the person. The key stays: a request that is sent
    again must not sign them up again. They live for a day, so that they are looked through.
    """
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.idempotency_key AS kept SET status = NULL, body = NULL
             WHERE kept.body IS NOT NULL
               AND EXISTS (SELECT FROM unnest(:needles) AS needle
                            WHERE position(needle IN lower(convert_from(kept.body, 'UTF8'))) > 0)
        """).bindparams(sa.bindparam("needles", type_=postgresql.ARRAY(sa.Text))),
        {"needles": [f'"{key}"' for key in email_keys]},
    )


async def delete_subscriber(connection: AsyncConnection, subscriber_id: int, *, requested_by: str) -> None:
    """And write down that it was done, without whom."""
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
