"""Make, rename, rotate and revoke keys through the API. A key never allows more than whoever makes it may do, and no
key gets the secret of one that allows more than itself.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import moment, record_audit
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import Permission, parse_permissions
from broadsheet_common.http.problems import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from broadsheet_gateway.api_keys import store
from broadsheet_gateway.api_keys.api_key import ApiKeyText, read_scopes
from broadsheet_gateway.api_keys.store import ApiKeyRow


class KeyNameTakenError(ConflictError):
    slug, title = "key-name-taken", "The user has a key of this name"


class KeyRevokedError(ConflictError):
    slug, title = "key-revoked", "The key is revoked"


def user_id_of(identity: Identity) -> int:
    """Raises ForbiddenError if no user stands behind the identity."""
    kind, _, number = (identity.user or "").partition(":")
    if kind != "user":
        raise ForbiddenError("Only users and their keys have keys.")
    return int(number)


def parse_scopes_within(names: Iterable[str], identity: Identity) -> frozenset[Permission]:
    """Scopes by name or group. A group means those of it that the caller has.

    Raises:
        InvalidInputError: a name is unknown, or names a permission that the caller has for no newsletter at all.
    """
    wanted = list(dict.fromkeys(names))
    held = identity.scopes | {permission for _, permission in identity.limited}
    found: frozenset[Permission] = frozenset()
    for number, name in enumerate(wanted):
        pointer = f"/scopes/{number}"
        try:
            named = parse_permissions([name])
        except ValueError as error:
            raise InvalidInputError(errors=(FieldProblem(pointer, str(error)),)) from error
        if not named & held or (len(named) == 1 and not named <= held):
            raise InvalidInputError(errors=(FieldProblem(pointer, "You do not have this permission yourself."),))
        found |= named & held
    return found


async def _find_excess(
    connection: AsyncConnection,
    by: Identity,
    *,
    scopes: frozenset[Permission],
    newsletter_ids: Collection[int] | None,
    expires_at: datetime | None,
) -> FieldProblem | None:
    """What such a key would allow beyond the key that asks. The two are compared as they are kept, not by what their
    user may do now: the user may be given more later. A session asks as the user, and has no bounds of its own.
    """
    kind, _, number = by.subject.partition(":")
    if kind != "key":
        return None
    own = await store.find_api_key_row(connection, int(number))
    assert own is not None, "keys are never deleted"
    if not scopes <= read_scopes(own.scopes):
        return FieldProblem("/scopes", "Your key does not have all of these permissions.")
    if own.newsletter_ids is not None and not (newsletter_ids and set(newsletter_ids) <= set(own.newsletter_ids)):
        return FieldProblem("/newsletter_ids", "Your key is for certain newsletters: name some of those.")
    if own.expires_at is not None and (expires_at is None or expires_at > own.expires_at):
        return FieldProblem("/expires_at", "Your key expires before that.")
    return None


async def make_api_key(
    connection: AsyncConnection,
    identity: Identity,
    *,
    name: str,
    scopes: frozenset[Permission],
    newsletter_ids: list[int] | None,
    expires_at: datetime | None,
) -> tuple[ApiKeyRow, ApiKeyText]:
    """The new key, whose text can't be had again.

    Raises:
        ForbiddenError: no user stands behind the caller.
        InvalidInputError: it would allow more, or for longer, than the key that asks for it.
        KeyNameTakenError
    """
    excess = await _find_excess(
        connection, identity, scopes=scopes, newsletter_ids=newsletter_ids, expires_at=expires_at
    )
    if excess is not None:
        raise InvalidInputError(errors=(excess,))
    key = ApiKeyText.generate()
    key_id = await store.insert_api_key(
        connection,
        user_id=user_id_of(identity),
        name=name,
        key=key,
        scopes=scopes,
        newsletter_ids=newsletter_ids,
        expires_at=expires_at,
    )
    if key_id is None:
        raise KeyNameTakenError
    row = await store.find_api_key_row(connection, key_id)
    assert row is not None, "it was inserted just now"
    await record_audit(
        connection,
        identity,
        "key.created",
        key_id,
        after={
            "user_id": row.user_id,
            "scopes": sorted(scopes),
            "newsletter_ids": newsletter_ids,
            "expires_at": None if expires_at is None else moment(expires_at),
        },
    )
    return row, key


async def find_key(
    connection: AsyncConnection, identity: Identity, key_id: int, *, others: Permission, lock: bool = False
) -> ApiKeyRow:
    """One of the caller's own keys; anybody's for those who hold the permission `others`. Raises NotFoundError."""
    row = await store.find_api_key_row(connection, key_id, lock=lock)
    if row is None or (row.user_id != user_id_of(identity) and identity.newsletters_with(others) is not None):
        raise NotFoundError("There is no such key.")
    return row


async def rename_key(
    connection: AsyncConnection, identity: Identity, key_id: int, name: str
) -> tuple[ApiKeyRow, ApiKeyRow]:
    """The key before and after. Raises NotFoundError, KeyNameTakenError."""
    before = await find_key(connection, identity, key_id, others="users:write", lock=True)
    if await store.key_name_is_taken(connection, user_id=before.user_id, name=name, by_other_than=key_id):
        raise KeyNameTakenError
    await store.rename_api_key(connection, key_id, name)
    if name != before.name:
        await record_audit(connection, identity, "key.changed", key_id, after={"changed": ["name"]})
    return before, await find_key(connection, identity, key_id, others="users:write")


async def rotate_key(
    connection: AsyncConnection, identity: Identity, key_id: int, *, overlap_s: int
) -> tuple[ApiKeyRow, ApiKeyText]:
    """A new secret under the same visible prefix; the old one stays good for `overlap_s`. Only by the key's own user.

    Raises:
        NotFoundError
        ForbiddenError: it allows more, or for longer, than the key that asks for its secret.
        KeyRevokedError
    """
    row = await store.find_api_key_row(connection, key_id, lock=True)
    if row is None or row.user_id != user_id_of(identity):
        raise NotFoundError("You have no such key.")
    excess = await _find_excess(
        connection,
        identity,
        scopes=read_scopes(row.scopes),
        newsletter_ids=row.newsletter_ids,
        expires_at=row.expires_at,
    )
    if excess is not None:
        raise ForbiddenError(f"That key allows more than the one that you use ({excess.pointer.strip('/')}).")
    if row.revoked_at is not None:
        raise KeyRevokedError
    key = ApiKeyText.generate(row.prefix)
    await store.rotate_secret(connection, key_id, sha256=key.sha256, overlap_s=overlap_s)
    await record_audit(connection, identity, "key.rotated", key_id, after={"overlap_s": overlap_s})
    return await find_key(connection, identity, key_id, others="users:write"), key


async def revoke_key(connection: AsyncConnection, identity: Identity, key_id: int) -> tuple[ApiKeyRow, ApiKeyRow]:
    """The key before and after; a revoked key stays so. Raises NotFoundError."""
    before = await find_key(connection, identity, key_id, others="users:write", lock=True)
    await store.revoke_api_key(connection, key_id)
    if before.revoked_at is None:
        await record_audit(connection, identity, "key.revoked", key_id, before={"user_id": before.user_id})
    return before, await find_key(connection, identity, key_id, others="users:write")
