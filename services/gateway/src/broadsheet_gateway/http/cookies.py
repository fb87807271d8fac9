"""The gateway's cookies: their names and attributes.

With an https PUBLIC_URL they carry the `__Host-` prefix (RFC 6265bis), which browsers accept only with Secure, Path=/
and no Domain: no other host, and no plain connection, can set them. On plain http (local only) the prefix would make
browsers drop them, so it goes together with Secure.
"""

from litestar.datastructures import Cookie


class CookieJar:
    """Makes the cookies: the session's, the flash's, and those of sign-ins that are under way."""

    def __init__(self, *, is_https: bool) -> None:
        self._is_secure = is_https
        prefix = "__Host-" if is_https else ""
        self.session_name = f"{prefix}broadsheet_session"
        self.flash_name = f"{prefix}broadsheet_flash"
        self.half_sign_in_name = f"{prefix}broadsheet_half_sign_in"
        self.passkey_name = f"{prefix}broadsheet_passkey"
        self.provider_visit_name = f"{prefix}broadsheet_provider_visit"

    def session(self, session_id: str, *, lifetime_s: int) -> Cookie:
        return self._cookie(self.session_name, session_id, lifetime_s)

    def flash(self, text: str, *, lifetime_s: int) -> Cookie:
        return self._cookie(self.flash_name, text, lifetime_s)

    def passkey(self, secret: str, *, lifetime_s: int) -> Cookie:
        return self._cookie(self.passkey_name, secret, lifetime_s)

    def half_sign_in(self, token: str, *, lifetime_s: int) -> Cookie:
        return self._cookie(self.half_sign_in_name, token, lifetime_s)

    def provider_visit(self, token: str, *, lifetime_s: int) -> Cookie:
        return self._cookie(self.provider_visit_name, token, lifetime_s)

    def expired(self, name: str) -> Cookie:
        return self._cookie(name, "", 0)

    def _cookie(self, name: str, value: str, max_age_s: int) -> Cookie:
        return Cookie(
            key=name,
            value=value,
            path="/",
            max_age=max_age_s,
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )
