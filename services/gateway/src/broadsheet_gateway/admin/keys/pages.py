"""`/admin/api-keys`: make, rename, rotate and revoke keys, and see what they were used for.

Without a fresh proof the pages show no forms, so that nothing that was typed is lost to the question for a password.
"""

from datetime import date
from typing import Final

import msgspec
import structlog
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.pagination import decode_cursor, decode_key_cursor, encode_cursor, encode_key_cursor
from broadsheet_common.http.problems import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    as_sentence,
)
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.keys.key_form import (
    FIELDS_MAX,
    TypedKey,
    errors_of,
    find_faults,
    find_name_fault,
    parse_last_day,
    read_key_form,
)
from broadsheet_gateway.admin.keys.show_keys import (
    KEYS_SHOWN,
    USES_SHOWN,
    names_of_users,
    shown_key,
    shown_uses,
)
from broadsheet_gateway.admin.keys.views import OVERLAPS, KeyPage, KeySecretPage, KeysPage, NewKeyPage
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import parse_id
from broadsheet_gateway.api_keys.change_api_key import (
    KeyNameTakenError,
    KeyRevokedError,
    find_key,
    make_api_key,
    parse_scopes_within,
    rename_key,
    revoke_key,
    rotate_key,
)
from broadsheet_gateway.api_keys.interface import list_api_keys, list_uses
from broadsheet_gateway.api_keys.key_input import parse_expiry, parse_name
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.people_views import NewsletterChoice
from broadsheet_gateway.people.newsletter_choices import ask_newsletters

KEYS_PATH: Final = "/admin/api-keys"
NEW_PATH: Final = f"{KEYS_PATH}/new"
_READS: Final = needs("keys:read")
_WRITES: Final = needs("keys:read", "keys:write")
_NAME_TAKEN: Final = "You have a key of this name already."

_log = structlog.get_logger()


@get("/api-keys", include_in_schema=False, opt=_READS)
async def show_keys(
    context: NamedDependency[PageContext],
) -> PageResponse:
    of_all = context.request.query_params.get("all") == "yes"
    if of_all and "users:read" not in context.session.rights.everywhere:
        raise ForbiddenError("Only owners see the keys of others.")
    newsletters = await ask_newsletters(context.upstreams, context.session)
    async with context.engine.connect() as connection:
        rows = await list_api_keys(
            connection,
            user_id=None if of_all else context.session.user_id,
            after_id=decode_cursor(context.request.query_params.get("cursor")) or 0,
            limit=KEYS_SHOWN + 1,
        )
        usernames = await names_of_users(connection, rows[:KEYS_SHOWN])
    view = KeysPage(
        signed_in=context.session.signed_in,
        flashes=context.flashes,
        keys=tuple(
            shown_key(row, context.session, usernames=usernames, newsletters=newsletters) for row in rows[:KEYS_SHOWN]
        ),
        next_cursor=encode_cursor(rows[KEYS_SHOWN - 1].id) if len(rows) > KEYS_SHOWN else None,
        of_all=of_all,
        is_recent=context.session.is_recent,
    )
    return context.responder.page(view)


@get("/api-keys/new", include_in_schema=False, opt=_WRITES)
async def show_new_key(
    context: NamedDependency[PageContext],
) -> PageResponse:
    if not context.session.is_recent:
        return context.responder.ask_for_proof(NEW_PATH)
    return context.responder.page(await _new_key_page(context.session, context.upstreams, TypedKey()))


@post("/api-keys", status_code=200, include_in_schema=False, opt=_WRITES)
async def submit_new_key(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The answer is the page with the secret, not a redirect to it: it is shown this once, and kept nowhere."""
    form = await context.read_form(fields_max=FIELDS_MAX)
    if not context.session.is_recent:
        return context.responder.ask_for_proof(NEW_PATH)
    typed = read_key_form(form)
    errors, status = find_faults(typed), 422
    if not errors:
        try:
            scopes = parse_scopes_within(sorted(typed.ticked), context.session.identity)
            expires_at = parse_expiry(parse_last_day(typed.expires_on, context.session.zones.installation))
            async with context.engine.begin() as connection:
                row, made = await make_api_key(
                    connection,
                    context.session.identity,
                    name=parse_name(typed.name),
                    scopes=scopes,
                    newsletter_ids=typed.newsletter_ids,
                    expires_at=expires_at,
                )
        except InvalidInputError as error:
            errors = errors_of(error)
        except KeyNameTakenError as error:
            errors, status = {"name": _NAME_TAKEN}, error.status
        else:
            _log.warning("security.api_key_created", api_key_id=row.id, created_by=context.session.identity.subject)
            key = shown_key(
                row,
                context.session,
                usernames={context.session.user_id: context.session.username},
                newsletters=await ask_newsletters(context.upstreams, context.session),
            )
            return context.responder.page(
                KeySecretPage(signed_in=context.session.signed_in, key=key, secret=made.text, is_new=True)
            )
    view = await _new_key_page(context.session, context.upstreams, typed)
    return context.responder.page(msgspec.structs.replace(view, errors=errors), status=status)


@get("/api-keys/{key_id:str}", include_in_schema=False, opt=_READS)
async def show_key(
    key_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _key_page(
        context.session,
        parse_id(key_id),
        engine=context.engine,
        upstreams=context.upstreams,
        cursor=context.request.query_params.get("cursor"),
    )
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/api-keys/{key_id:str}", include_in_schema=False, opt=_WRITES)
async def submit_name(
    key_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(key_id)
    if not context.session.is_recent:
        return context.responder.ask_for_proof(_path_of(number))
    name = form.text("name")
    errors, status = find_name_fault(name), 422
    if not errors:
        try:
            async with context.engine.begin() as connection:
                await rename_key(connection, context.session.identity, number, parse_name(name))
        except InvalidInputError as error:
            errors = errors_of(error)
        except KeyNameTakenError as error:
            errors, status = {"name": "There is a key of this name already."}, error.status
        else:
            return context.responder.redirect(_path_of(number), flash=FlashCode.KEY_RENAMED)
    view = await _key_page(context.session, number, engine=context.engine, upstreams=context.upstreams)
    return context.responder.page(msgspec.structs.replace(view, name=name, errors=errors), status=status)


@post("/api-keys/{key_id:str}/rotate", status_code=200, include_in_schema=False, opt=_WRITES)
async def submit_rotation(
    key_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """As of making a key: the answer shows the secret. `rotation` is the rotation that the form was shown after."""
    form = await context.read_form()
    number = parse_id(key_id)
    if not context.session.is_recent:
        return context.responder.ask_for_proof(_path_of(number))
    overlap = form.text("overlap")
    view = await _key_page(context.session, number, engine=context.engine, upstreams=context.upstreams)
    if overlap not in {seconds for seconds, _ in OVERLAPS}:
        return context.responder.page(
            msgspec.structs.replace(view, errors={"overlap": "Choose one of the times."}), status=422
        )
    try:
        async with context.engine.begin() as connection:
            before = await find_key(connection, context.session.identity, number, others="users:write", lock=True)
            if form.text("rotation") != ("" if before.rotated_at is None else before.rotated_at.isoformat()):
                raise _RotatedMeanwhileError
            row, made = await rotate_key(connection, context.session.identity, number, overlap_s=int(overlap))
    except (KeyRevokedError, _RotatedMeanwhileError) as error:
        again = await _key_page(context.session, number, engine=context.engine, upstreams=context.upstreams)
        said = msgspec.structs.replace(again, form_error=f"{as_sentence(error.title)} {error.detail}".strip())
        return context.responder.page(said, status=error.status)
    _log.warning("security.api_key_rotated", api_key_id=row.id, rotated_by=context.session.identity.subject)
    key = shown_key(
        row,
        context.session,
        usernames={context.session.user_id: context.session.username},
        newsletters=await ask_newsletters(context.upstreams, context.session),
    )
    return context.responder.page(
        KeySecretPage(signed_in=context.session.signed_in, key=key, secret=made.text, is_new=False)
    )


@post("/api-keys/{key_id:str}/revoke", include_in_schema=False, opt=_WRITES)
async def submit_revocation(
    key_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(key_id)
    if not context.session.is_recent:
        return context.responder.ask_for_proof(_path_of(number))
    if form.text("sure") != "yes":
        view = await _key_page(context.session, number, engine=context.engine, upstreams=context.upstreams)
        errors = {"sure": "Tick the box to revoke the key."}
        return context.responder.page(msgspec.structs.replace(view, errors=errors), status=422)
    async with context.engine.begin() as connection:
        await revoke_key(connection, context.session.identity, number)
    _log.warning("security.api_key_revoked", api_key_id=number, revoked_by=context.session.identity.subject)
    return context.responder.redirect(_path_of(number), flash=FlashCode.KEY_REVOKED)


class _RotatedMeanwhileError(ConflictError):
    slug, title = "key-rotated-meanwhile", "The key has got a new secret since this page was loaded"

    def __init__(self) -> None:
        super().__init__("Nothing was changed now. If that secret got lost, rotate the key once more from this page.")


async def _new_key_page(session: Session, upstreams: Upstreams, typed: TypedKey) -> NewKeyPage:
    return NewKeyPage(
        signed_in=session.signed_in,
        scopes=tuple(sorted(session.rights.anywhere)),
        newsletters=_with_chosen(await ask_newsletters(upstreams, session), typed.chosen),
        name=typed.name,
        expires_on=typed.expires_on,
        ticked=typed.ticked,
        chosen=typed.chosen,
    )


async def _key_page(
    session: Session, key_id: int, *, engine: AsyncEngine, upstreams: Upstreams, cursor: str | None = None
) -> KeyPage:
    """Raises `NotFoundError`, `MalformedRequestError`."""
    newsletters = await ask_newsletters(upstreams, session)
    async with engine.connect() as connection:
        row = await find_key(connection, session.identity, key_id, others="users:read")
        usernames = await names_of_users(connection, [row])
        uses = await list_uses(connection, key_id, after=_after(cursor), limit=USES_SHOWN + 1)
    last = uses[USES_SHOWN - 1] if len(uses) > USES_SHOWN else None
    is_own = row.user_id == session.user_id
    return KeyPage(
        signed_in=session.signed_in,
        key=shown_key(row, session, usernames=usernames, newsletters=newsletters),
        name=row.name,
        uses=shown_uses(uses[:USES_SHOWN]),
        next_cursor=None if last is None else encode_key_cursor(last.source, last.day.toordinal()),
        is_recent=session.is_recent,
        may_change=is_own or "users:write" in session.rights.everywhere,
    )


def _after(cursor: str | None) -> tuple[date, str] | None:
    if not cursor:
        return None
    source, day = decode_key_cursor(cursor)
    try:
        return date.fromordinal(day), source
    except (ValueError, OverflowError) as error:
        raise MalformedRequestError("The cursor is not one that this list gave.") from error


def _path_of(key_id: int) -> str:
    return f"{KEYS_PATH}/{key_id}"


def _with_chosen(newsletters: tuple[NewsletterChoice, ...], chosen: frozenset[int]) -> tuple[NewsletterChoice, ...]:
    """With those that were ticked and are not in the list: without their boxes the key would be for all newsletters."""
    missing = sorted(chosen - {one.id for one in newsletters})
    return (*newsletters, *(NewsletterChoice(number, f"Newsletter {number}") for number in missing))


KEY_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_keys, show_new_key, submit_new_key, show_key, submit_name, submit_rotation, submit_revocation,
)  # fmt: skip
