"""Tickets in sign-up forms: a signed time, which shows how long somebody took to fill the form in.

No cookie and no script is needed. A ticket is bound to its form and holds nothing personal; it can be used more
than once, which the rate limits bound. A form on another site as plain HTML has no ticket.
"""

import hmac
import re
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FIELD = "form_ticket"
LIFETIME_S = 86_400
"""A page may stay open for a day; an older ticket does not count."""
CLOCK_ERROR_MAX_S = 60
"""Clock difference allowed between gateways."""

_TICKET = re.compile(r"([0-9]{13})\.([0-9a-f]{32})")
_KEY_BYTES = 32
_MAC_BYTES = 16


def derive_key(secret: str, purpose: bytes) -> bytes:
    """A key for one purpose, derived from a secret that all gateways have (RFC 5869)."""
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=b"broadsheet " + purpose).derive(secret.encode())


class FormTickets:
    def __init__(self, key: bytes, *, now_s: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now_s = now_s

    def issue(self, form: str) -> str:
        moment = f"{int(self._now_s() * 1000):013}"
        return f"{moment}.{self._mac(form, moment)}"

    def age_s(self, form: str, ticket: str) -> float | None:
        """None for a ticket that is invalid, for another form, or too old."""
        match = _TICKET.fullmatch(ticket)
        if match is None or not hmac.compare_digest(match[2], self._mac(form, match[1])):
            return None
        age_s = self._now_s() - int(match[1]) / 1000
        return max(age_s, 0.0) if -CLOCK_ERROR_MAX_S <= age_s <= LIFETIME_S else None

    def _mac(self, form: str, moment: str) -> str:
        return hmac.digest(self._key, f"{moment} {form}".encode(), "sha256")[:_MAC_BYTES].hex()
