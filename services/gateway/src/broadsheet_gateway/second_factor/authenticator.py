"""Codes of an authenticator: TOTP (RFC 6238) with its defaults, SHA-1, six digits, 30 seconds; pure.

SHA-1 is what every authenticator app understands. Its known collisions are no attack on an HMAC.
"""

import hmac
from typing import Final

import pyotp
import segno

DIGITS: Final = 6
STEP_S: Final = 30
STEPS_AROUND: Final = 1
"""A code of the step before or after is taken too: clocks differ, and people type slowly (RFC 6238, 5.2)."""
ISSUER: Final = "Broadsheet"


def new_secret() -> str:
    """160 random bits in base32 (RFC 4226, 4)."""
    return pyotp.random_base32(32)


def matching_step(secret: str, code: str, *, now_s: float, after_step: int) -> int | None:
    """The time step whose code this is, if it is near now and later than `after_step`. None: the code is not good.

    `now_s`: seconds since 1970. Every candidate is compared, each in constant time.
    """
    totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
    now_step = int(now_s // STEP_S)
    steps = range(now_step - STEPS_AROUND, now_step + STEPS_AROUND + 1)
    matches = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)]
    return next((step for step in matches if step > after_step), None)


def set_up_address(secret: str, *, username: str, host: str) -> str:
    """The `otpauth:` address that an authenticator reads from the QR code."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(
        name=f"{username}@{host}", issuer_name=ISSUER
    )


def qr_svg(address: str) -> str:
    """An SVG element without style, script or reference: dark modules on a light ground, for any colour scheme. It is
    hidden from screen readers, for which the secret stands beside it as text.
    """
    code = segno.make(address, error="m", micro=False)
    svg = code.svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)


def in_groups(secret: str) -> str:
    """For typing: groups of four."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
