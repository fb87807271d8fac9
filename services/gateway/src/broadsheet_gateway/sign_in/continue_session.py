"""A session that goes on under a new id (ASVS 5, 7.2.4): after a new password, a fresh proof, and the like."""

from broadsheet_gateway.accounts.current_session import Session, session_data
from broadsheet_gateway.accounts.interface import UserAccount
from broadsheet_gateway.accounts.sessions import Sessions


async def continue_session(
    session: Session,
    user: UserAccount,
    *,
    sessions: Sessions,
    is_proved_now: bool = False,
    has_second_factor_now: bool = False,
) -> str:
    """The new id; the old one ends. `user` is the session's, as read after whatever has changed.

    `is_proved_now`: its user has just shown who they are, with every factor that they have. `has_second_factor_now`:
    the second one with it. Without, the session keeps what was proved before.

    Raises:
        UnavailableError: Redis does not answer; then the session may have ended.
    """
    data = session_data(
        user,
        source=session.data.source,
        browser=session.data.browser,
        is_two_factor=session.data.is_two_factor or has_second_factor_now,
        is_vouched_for=session.data.is_vouched_for,
        authenticated_at_us=None if is_proved_now else session.data.authenticated_at_us,
    )
    await sessions.end(session.id)
    return await sessions.start(data)
