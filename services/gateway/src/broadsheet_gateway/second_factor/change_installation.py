"""Who must have a second factor: every user, or whoever has a role for one of the chosen newsletters."""

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import Detail, record_audit
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.problems import ConflictError
from broadsheet_gateway.passkeys.interface import has_passkey
from broadsheet_gateway.second_factor import store
from broadsheet_gateway.second_factor.installation import Installation, InstallationPatch


class NoOwnSecondFactorError(ConflictError):
    slug, title = "no-own-second-factor", "Set up a second factor of your own before you require one"


async def show_installation(connection: AsyncConnection) -> Installation:
    return _shown(await store.read_requirements(connection))


async def change_installation(
    connection: AsyncConnection, patch: InstallationPatch, *, if_match: str | None, by: Identity
) -> Installation:
    """What holds afterwards.

    Raises:
        PreconditionRequiredError, PreconditionFailedError
        NoOwnSecondFactorError: it would require more than before, and the caller, or the user behind the key, has no
            second factor: nobody locks themselves out.
    """
    before = _shown(await store.read_requirements(connection, lock=True))
    require_match(if_match, before)
    of_everybody, newsletter_ids = patch.requires_second_factor, patch.second_factor_newsletter_ids
    after = Installation(
        requires_second_factor=before.requires_second_factor if of_everybody is UNSET else of_everybody,
        second_factor_newsletter_ids=(
            before.second_factor_newsletter_ids if newsletter_ids is UNSET else sorted(set(newsletter_ids))
        ),
    )
    if after == before:
        return before
    if _requires_more(before, after) and not await _has_second_factor(connection, by):
        raise NoOwnSecondFactorError
    await store.replace_requirements(
        connection, store.Requirements(after.requires_second_factor, tuple(after.second_factor_newsletter_ids))
    )
    await record_audit(connection, by, "installation.changed", None, before=_noted(before), after=_noted(after))
    return after


def _requires_more(before: Installation, after: Installation) -> bool:
    return (after.requires_second_factor and not before.requires_second_factor) or not set(
        after.second_factor_newsletter_ids
    ) <= set(before.second_factor_newsletter_ids)


async def _has_second_factor(connection: AsyncConnection, by: Identity) -> bool:
    user = (by.user or "").removeprefix("user:")
    if not user.isdecimal():
        return False
    return await store.find_factor(connection, int(user)) is not None or await has_passkey(connection, int(user))


def _shown(requirements: store.Requirements) -> Installation:
    return Installation(
        requires_second_factor=requirements.of_everybody,
        second_factor_newsletter_ids=list(requirements.newsletter_ids),
    )


def _noted(installation: Installation) -> dict[str, Detail]:
    return {
        "requires_second_factor": installation.requires_second_factor,
        "newsletter_ids": installation.second_factor_newsletter_ids,
    }
