"""The two ceremonies of WebAuthn (Web Authentication, Level 3), by py_webauthn; pure.

Passkeys are discoverable, so that nobody types a name, and the authenticator verifies its user by PIN, finger or face:
together they prove two factors. What the browser sends is read into a struct of ours first: bounded, and of the types
that the package expects.
"""

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import webauthn
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

RP_NAME: Final = "Broadsheet"
CREDENTIAL_CHARS_MAX: Final = 20_000
CHALLENGE_BYTES: Final = 32
CREDENTIAL_ID_BYTES_MAX: Final = 1023
TIMEOUT_MS: Final = 300_000

_Text = Annotated[str, msgspec.Meta(max_length=CREDENTIAL_CHARS_MAX, pattern=r"^[A-Za-z0-9_-]*$")]
_Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=CREDENTIAL_ID_BYTES_MAX * 4 // 3 + 4, pattern=r"^[A-Za-z0-9_-]+$")
]


T = TypeVar("T")


class RelyingParty(msgspec.Struct, frozen=True):
    """This installation, as authenticators know it: `id` is the host of PUBLIC_URL, `origin` that of its pages."""

    id: str
    origin: str

    @property
    def is_possible(self) -> bool:
        """A passkey belongs to a host name; an address has none (WebAuthn, 5.1.2)."""
        try:
            ipaddress.ip_address(self.id)
        except ValueError:
            return True
        return False

    @classmethod
    def of(cls, origin: str) -> "RelyingParty":
        return cls(id=urlsplit(origin).hostname or "", origin=origin)


class PasskeyRefusedError(Exception):
    """What the browser sent does not hold. The text says why, without what it held."""


class NewPasskey(msgspec.Struct, frozen=True):
    credential_id: bytes
    public_key: bytes
    sign_count: int


class _Attestation(msgspec.Struct, frozen=True):
    clientDataJSON: _Text  # noqa: N815 (WebAuthn's names)
    attestationObject: _Text  # noqa: N815


class _Registration(msgspec.Struct, frozen=True):
    id: _Id
    rawId: _Id  # noqa: N815
    type: Annotated[str, msgspec.Meta(max_length=20)]
    response: _Attestation


class _AssertionData(msgspec.Struct, frozen=True):
    clientDataJSON: _Text  # noqa: N815
    authenticatorData: _Text  # noqa: N815
    signature: _Text
    userHandle: _Text | None = None  # noqa: N815


class _AssertionBody(msgspec.Struct, frozen=True):
    id: _Id
    rawId: _Id  # noqa: N815
    type: Annotated[str, msgspec.Meta(max_length=20)]
    response: _AssertionData


class Assertion(msgspec.Struct, frozen=True):
    """Which passkey somebody shows, before it is verified."""

    credential_id: bytes
    user_handle: bytes | None
    body: _AssertionBody


def registration_options(
    party: RelyingParty, *, challenge: bytes, user_handle: bytes, username: str, name: str, known: Sequence[bytes]
) -> bytes:
    """JSON for `navigator.credentials.create`. `known`: the user's passkeys, none of which is registered twice."""
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=RP_NAME,
        user_name=username,
        user_id=user_handle,
        user_display_name=name or username,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            require_resident_key=True,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
    )
    return webauthn.options_to_json(options).encode()


def assertion_options(party: RelyingParty, *, challenge: bytes) -> bytes:
    """JSON for `navigator.credentials.get`, for any passkey of this installation."""
    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options).encode()


def verify_registration(party: RelyingParty, text: str, *, challenge: bytes) -> NewPasskey:
    """Raises PasskeyRefusedError."""
    body = _decode(text, _Registration)
    try:
        verified = webauthn.verify_registration_response(
            credential=_as_dict(body),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise PasskeyRefusedError(type(error).__name__) from error
    return NewPasskey(verified.credential_id, verified.credential_public_key, verified.sign_count)


def read_assertion(text: str) -> Assertion:
    """Raises PasskeyRefusedError if it is none."""
    body = _decode(text, _AssertionBody)
    handle = body.response.userHandle
    return Assertion(
        credential_id=base64url_to_bytes(body.id),
        user_handle=base64url_to_bytes(handle) if handle else None,
        body=body,
    )


def verify_assertion(party: RelyingParty, assertion: Assertion, *, challenge: bytes, public_key: bytes) -> int:
    """The authenticator's signature counter, which the caller compares with the last one.

    Raises:
        PasskeyRefusedError: another challenge, site or key, a user who was not verified, or a signature that is wrong.
    """
    try:
        verified = webauthn.verify_authentication_response(
            credential=_as_dict(assertion.body),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            # Compared in the database, where two at once see each other.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise PasskeyRefusedError(type(error).__name__) from error
    return verified.new_sign_count


def _decode(text: str, kind: type[T]) -> T:
    if len(text) > CREDENTIAL_CHARS_MAX:
        raise PasskeyRefusedError("too long")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise PasskeyRefusedError("malformed") from error


def _as_dict(body: msgspec.Struct) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(body)
    return made
