"""How a call to Postmark ended: answered, certainly not sent, or unknown; pure."""

import uuid

import msgspec

from broadsheet_delivery.postmark.error_class import ErrorClass


class AcceptedItem(msgspec.Struct, frozen=True):
    message_id: uuid.UUID


class RejectedItem(msgspec.Struct, frozen=True):
    error_code: int
    message: str


ItemResult = AcceptedItem | RejectedItem


class Answered(msgspec.Struct, frozen=True):
    """Postmark answered for each message, in the order of the request."""

    items: tuple[ItemResult, ...]


class NotSent(msgspec.Struct, frozen=True):
    """Nothing of the request was accepted; `error_class` says what to do. `status` is None when no answer came."""

    error_class: ErrorClass
    reason: str
    status: int | None = None
    error_code: int | None = None
    retry_after_s: float | None = None


class Unknown(msgspec.Struct, frozen=True):
    """All, some or none of the request may have been accepted."""

    reason: str
    status: int | None = None
    error_code: int | None = None
    slow: bool = False
    """It was slow before it ended, and the breaker has counted it as that."""


CallResult = Answered | NotSent | Unknown
