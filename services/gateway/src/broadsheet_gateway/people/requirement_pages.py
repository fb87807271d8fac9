"""`/admin/users/second-factor`: who must have a second factor, for owners of the whole installation."""

from typing import Final

import structlog
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.entity_tag import PreconditionFailedError, entity_tag
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.accounts.session_form import read_session_form
from broadsheet_gateway.forwarding.upstreams import Upstreams
from broadsheet_gateway.http.forms import FIELDS_MAX
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.people_views import RequirementPage
from broadsheet_gateway.people.newsletter_choices import ask_newsletters, with_those_of
from broadsheet_gateway.second_factor.change_installation import (
    NoOwnSecondFactorError,
    change_installation,
    show_installation,
)
from broadsheet_gateway.second_factor.installation import InstallationPatch
from broadsheet_gateway.settings import GatewaySettings

PATH: Final = "/admin/users/second-factor"
CHOICES_MAX: Final = FIELDS_MAX - 10
"""A form holds no more boxes; beyond it the API chooses newsletters."""
_PREFIX: Final = "newsletter_"

_log = structlog.get_logger()


@get("/users/second-factor", include_in_schema=False, opt=needs("users:read", everywhere=True))
async def show_requirement(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    return responder.page(await _page(session, engine, upstreams, flashes=responder.flashes(request)))


@post("/users/second-factor", include_in_schema=False, opt=needs("users:read", "users:write", everywhere=True))
async def submit_requirement(
    request: AnyRequest,
    session: NamedDependency[Session],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    engine: NamedDependency[AsyncEngine],
    upstreams: NamedDependency[Upstreams],
) -> PageResponse:
    form = await read_session_form(request, session, settings)
    if not session.is_recent:
        return responder.ask_for_proof(PATH)
    chosen = [int(name) for name in (key.removeprefix(_PREFIX) for key in form.fields) if _is_id(name)]
    patch = InstallationPatch(
        requires_second_factor=form.get("everybody") is not None,
        # Without boxes for newsletters these stay as they are.
        second_factor_newsletter_ids=chosen if form.get("has_newsletters") is not None else UNSET,
    )
    try:
        async with engine.begin() as connection:
            await change_installation(connection, patch, if_match=form.text("version"), by=session.identity)
    except NoOwnSecondFactorError:
        sentence = "Set up a second factor of your own, or a passkey, before you require one."
        return responder.page(await _page(session, engine, upstreams, form_error=sentence), status=409)
    except PreconditionFailedError as error:
        sentence = "Somebody else changed this meanwhile. Look at what is there now, then send it again."
        return responder.page(await _page(session, engine, upstreams, form_error=sentence), status=error.status)
    _log.warning("security.installation_changed", changed_by=session.identity.subject)
    return responder.redirect(PATH, flash=FlashCode.REQUIREMENT_CHANGED)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0  # noqa: PLR2004 (digits of an id)


async def _page(
    session: Session,
    engine: AsyncEngine,
    upstreams: Upstreams,
    *,
    form_error: str = "",
    flashes: tuple[FlashCode, ...] = (),
) -> RequirementPage:
    newsletters = await ask_newsletters(upstreams, session)
    async with engine.connect() as connection:
        holds = await show_installation(connection)
    chosen = frozenset(holds.second_factor_newsletter_ids)
    choices = with_those_of(newsletters, [Grant("owner", number) for number in sorted(chosen)])
    return RequirementPage(
        signed_in=session.signed_in,
        flashes=flashes,
        is_recent=session.is_recent,
        version=entity_tag(holds),
        of_everybody=holds.requires_second_factor,
        newsletters=choices if len(choices) <= CHOICES_MAX else (),
        has_more=len(choices) > CHOICES_MAX,
        chosen=chosen,
        form_error=form_error,
    )


REQUIREMENT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_requirement, submit_requirement)
