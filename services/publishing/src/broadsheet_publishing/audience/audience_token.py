"""What an author was shown of an audience, as a token that comes back when the issue is published. Pure.

It is no credential: whoever may publish with one may publish without. So it is not signed, and no key is needed; a part
of a digest in front finds what was cut short or mistyped. The form is base64url(12 bytes of SHA-256 + JSON).
"""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec

from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError

LIFETIME: Final = timedelta(hours=24)
TOKEN_CHARS_MAX: Final = 1_000
_DIGEST_BYTES: Final = 12


class AudienceTokenExpiredError(ConflictError):
    slug, title = "audience-token-expired", "The audience was looked at more than 24 hours ago: look at it again"


_Number = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class ShownAudience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` people at `as_of`. `filter_digest`: of the segment's filter then; both None without a segment."""

    issue_id: _Number
    newsletter_id: _Number
    segment_id: _Number | None
    filter_digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None
    count: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    as_of: Annotated[datetime, msgspec.Meta(tz=True)]


def encode_token(shown: ShownAudience) -> str:
    text = msgspec.json.encode(shown)
    return base64.urlsafe_b64encode(_digest(text) + text).rstrip(b"=").decode()


def decode_token(token: str, *, issue_id: int, pointer: str) -> ShownAudience:
    """Raises `InvalidInputError` for one that was not made for this issue; `pointer` says where it stood."""
    shown = _decoded(token)
    if shown is None:
        raise _fault(pointer, "This is no token of an audience, or not the whole of it.")
    if shown.issue_id != issue_id:
        raise _fault(pointer, f"This token is of issue {shown.issue_id}.")
    return shown


def require_fresh(shown: ShownAudience, *, now: datetime) -> None:
    """Raises `AudienceTokenExpiredError`."""
    if now - shown.as_of > LIFETIME:
        raise AudienceTokenExpiredError


def _decoded(token: str) -> ShownAudience | None:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:  # binascii's error is one too
        return None
    digest, text = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(text):
        return None
    try:
        return msgspec.json.decode(text, type=ShownAudience)
    except msgspec.DecodeError:
        return None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(b"audience\0" + text).digest()[:_DIGEST_BYTES]


def _fault(pointer: str, detail: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldProblem(pointer=pointer, detail=detail),))
