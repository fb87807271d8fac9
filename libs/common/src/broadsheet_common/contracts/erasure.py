"""Erasing a person across services: subscriptions stores people and asks delivery to erase what it holds about them.

All functions run in the caller's transaction.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher


async def enqueue_erasure(
    connection: AsyncConnection, hasher: AddressHasher, *, subscriber_id: int, email_key: str
) -> None:
    """Ask delivery to erase a subscriber. From this commit on, a suppression of the address is stored under its hash
    only.
    """
    key_id, address_hash = hasher.current(email_key)
    await connection.execute(
        sa.text("SELECT delivery.enqueue_erasure(:subscriber_id, :email_key, :address_hash, :key_id)").bindparams(
            sa.bindparam("address_hash", type_=sa.LargeBinary)
        ),
        {
            "subscriber_id": subscriber_id,
            "email_key": email_key,
            "address_hash": address_hash,
            "key_id": key_id,
        },
    )


_ENTER_ADDRESSES = sa.text("SELECT delivery.enter_addresses(:email_keys, :address_hashes)").bindparams(
    sa.bindparam("email_keys", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("address_hashes", type_=pg.ARRAY(sa.LargeBinary)),
)


async def enter_addresses(connection: AsyncConnection, hasher: AddressHasher, email_keys: Sequence[str]) -> None:
    """Every transaction that stores addresses calls this: an address that was suppressed when it was erased is
    suppressed again. Other addresses do not change.
    """
    pairs = [(key, address_hash) for key in email_keys for address_hash in hasher.hashes(key)]
    await connection.execute(
        _ENTER_ADDRESSES,
        {"email_keys": [key for key, _ in pairs], "address_hashes": [address_hash for _, address_hash in pairs]},
    )


async def addresses_were_erased(connection: AsyncConnection) -> bool:
    """Whether any address was ever erased. If not, `enter_addresses` has nothing to do."""
    row = await connection.execute(sa.text("SELECT are_there FROM delivery.published_erased_addresses"))
    return bool(row.scalar_one())


async def read_person_data(
    connection: AsyncConnection, *, subscriber_id: int, email_keys: Sequence[str], rows_max: int
) -> dict[str, Any]:
    """What delivery holds about a person, by section; `truncated` names the sections cut at `rows_max`."""
    row = await connection.execute(
        sa.text("SELECT delivery.person_data(:subscriber_id, :email_keys, :rows_max)").bindparams(
            sa.bindparam("email_keys", type_=pg.ARRAY(sa.Text)), sa.bindparam("rows_max", type_=sa.Integer)
        ),
        {"subscriber_id": subscriber_id, "email_keys": list(email_keys), "rows_max": rows_max},
    )
    found: dict[str, Any] = row.scalar_one()
    return found
