"""Sign in whom the provider has named: a linked user, or one who is made now, if that is set."""

from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_gateway.accounts.interface import UserAccount, find_user
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.oidc import store
from broadsheet_gateway.oidc.configuration import OidcConfiguration
from broadsheet_gateway.oidc.id_token import LEEWAY_S, ProviderIdentity
from broadsheet_gateway.oidc.mapped_roles import apply_mapped_roles
from broadsheet_gateway.oidc.new_user import TakenMeanwhileError, make_user
from broadsheet_gateway.sign_in.admission import Admission, Admitted, Visit

_TRIES: Final = 3

_log = structlog.get_logger()


class NobodyHere(msgspec.Struct, frozen=True):
    """The account is linked to no user, and none is made for it. `lacks_group`: one would be, in another group."""

    lacks_group: bool


async def sign_in_by_provider(
    identity: ProviderIdentity,
    *,
    now_s: int,
    configuration: OidcConfiguration,
    visit: Visit,
    admission: Admission,
    notes: SignInNotes,
    engine: AsyncEngine,
) -> Admitted | NobodyHere:
    """The roles that the groups give are the user's before the session begins. `now_s` as `identity` was read.

    Raises:
        UnavailableError: Redis does not answer.
    """
    user = await _find_or_make(identity, configuration=configuration, source=visit.address, engine=engine)
    if isinstance(user, NobodyHere):
        reason = "no_group" if user.lacks_group else "not_linked"
        _log.warning("security.login_refused", user_id=None, reason=reason, method="oidc")
        await notes.refused(None, address=visit.address, method="oidc", reason=reason)
        return user
    return await admission.admit(
        user,
        method="oidc",
        visit=visit,
        is_vouched_for=configuration.trusts_second_factor and identity.has_proved_two,
        is_fresh=_is_fresh(identity, now_s, max_age_s=configuration.max_age_s),
    )


def _is_fresh(identity: ProviderIdentity, now_s: int, *, max_age_s: int) -> bool:
    """Whether the user proved who they are at the provider a short time ago. One that does not say when is not
    believed: its user may have done so weeks before.
    """
    return identity.auth_time_s is not None and -LEEWAY_S <= now_s - identity.auth_time_s <= max_age_s + LEEWAY_S


async def _find_or_make(
    identity: ProviderIdentity, *, configuration: OidcConfiguration, source: str | None, engine: AsyncEngine
) -> UserAccount | NobodyHere:
    for _ in range(_TRIES):
        try:
            async with engine.begin() as connection:
                return await _find_or_make_once(connection, identity, configuration=configuration, source=source)
        except TakenMeanwhileError:
            continue
    return NobodyHere(lacks_group=False)


async def _find_or_make_once(
    connection: AsyncConnection, identity: ProviderIdentity, *, configuration: OidcConfiguration, source: str | None
) -> UserAccount | NobodyHere:
    given = configuration.map_groups(identity.groups)
    link = await store.find_by_subject(connection, configuration.issuer, identity.subject)
    if link is None:
        if not configuration.creates_users or not given:
            return NobodyHere(lacks_group=configuration.creates_users)
        user_id = await make_user(connection, identity, given, configuration=configuration, source=source)
    else:
        user_id = link.user_id
        user = await find_user(connection, user_id)
        if user is not None and not user.is_deactivated:
            is_linked = await apply_mapped_roles(connection, user_id, given, issuer=configuration.issuer, source=source)
            if not is_linked:
                raise TakenMeanwhileError
    user = await find_user(connection, user_id)
    assert user is not None, "users are never deleted, and links go with them"
    return user
