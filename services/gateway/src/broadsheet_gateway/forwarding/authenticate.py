"""Authenticate API requests: `Authorization: Bearer <key>`, or else the session of a signed-in user."""

from collections.abc import Mapping
from typing import Final

import msgspec

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.problems import UnauthenticatedError
from broadsheet_gateway.access.page_access import SecondFactorNeededError
from broadsheet_gateway.accounts.current_session import CurrentSession, require_recent
from broadsheet_gateway.api_keys.verify_api_key import ApiKeyVerifier
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.client_address import UNKNOWN, rate_limit_subject

FRESH_PROOF_NEEDED: Final[frozenset[Permission]] = frozenset(
    {"keys:write", "users:write", "subscribers:export", "personal-data:export"}
)
"""What a stolen session must not do. Keys are exempt: a program cannot type a password."""

_CHALLENGE = 'Bearer realm="Broadsheet"'


class Authenticator:
    def __init__(self, *, keys: ApiKeyVerifier, current_session: CurrentSession, public_origin: str) -> None:
        self._keys = keys
        self._current_session = current_session
        self._public_origin = public_origin

    async def authenticate(
        self,
        method: str,
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
        *,
        address: str | None,
        permission: Permission,
        is_use: bool = True,
    ) -> Identity:
        """The caller's identity. A request with a key is judged by the key alone, whatever cookie it carries.
        `address` is where it came from, for rate limits and the audit log; `permission` is what the operation needs:
        some need that a person has lately proved who they are (`FRESH_PROOF_NEEDED`). `is_use` False: a look whether
        the credentials are still good, which does not keep a session from its idle end.

        Raises:
            SecondFactorNeededError: the session's user must first set a second factor up.
            RecentAuthenticationNeededError: the session's proof is too old for this.
            UnauthenticatedError: with the `WWW-Authenticate` header (RFC 6750).
            TooManyRequestsError: too many unknown keys from that source.
            CrossSiteRequestError, CsrfTokenError: an unsafe request with a session that no page of ours sent.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            source = rate_limit_subject(address or UNKNOWN)
            scheme, _, key_text = authorization.partition(" ")
            identity = await self._keys.verify(key_text.strip(), source=source) if scheme.lower() == "bearer" else None
            if identity is None:
                raise UnauthenticatedError(headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'})
            return msgspec.structs.replace(identity, source=address)
        session = await self._current_session.find(cookies, is_use=is_use)
        if session is None:
            raise UnauthenticatedError(headers={"WWW-Authenticate": _CHALLENGE})
        if method not in csrf.SAFE_METHODS:
            csrf.check_request(
                headers,
                public_origin=self._public_origin,
                session_id=session.id,
                presented_token=headers.get(csrf.HEADER),
            )
        if session.must_set_up_factor:
            raise SecondFactorNeededError
        if permission in FRESH_PROOF_NEEDED:
            require_recent(session)
        return msgspec.structs.replace(session.identity, source=address)
