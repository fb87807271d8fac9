"""What an error from Postmark means for us: the whole table. Pure.

The HTTP status decides first, then the ErrorCode: the two number spaces collide (code 401 is not status 401).

For a whole request the table lists the proofs that nothing was sent. What is not on it is `AMBIGUOUS`: it may
have been sent. Only Postmark's own refusal can be a proof, so an answer without its ErrorCode never is. Source:
Postmark's API documentation, "API error codes" and "Response codes".
"""

from enum import Enum


class ErrorClass(Enum):
    """The effect of an error: on a recipient, a message, an issue or all sending."""

    RECIPIENT = "recipient"
    """This recipient can never be sent to: final for the delivery."""
    SUPPRESSED = "suppressed"
    """The recipient is inactive on this stream: final, and remembered."""
    MESSAGE = "message"
    """This message can never be sent: final for the delivery."""
    CONFIGURATION = "configuration"
    """Our bug or configuration: the issue is paused."""
    ACCOUNT = "account"
    """The account may not send: all sending is paused."""
    TRANSIENT = "transient"
    """Certainly not sent: try again later."""
    AMBIGUOUS = "ambiguous"
    """Possibly sent: it has to be reconciled."""
    TOO_LARGE = "too_large"
    """The payload was too large: send it in smaller parts."""


_INACTIVE_RECIPIENT = 406
_INVALID_EMAIL = 300
_ACCOUNT_CODES = frozenset({10, 14, 405, 412, 413, 422, 1480})
_CONFIGURATION_CODES = frozenset({400, 401, 402, 403, 409, 410, *range(1100, 1132), 1226, 1235, 1236, 1238})
_SENDER_CODES = frozenset({400, 401})
_MESSAGE_CODES = frozenset({411})
_NO_ERROR = 0
_MAINTENANCE = 100
_INTERNAL_ERROR = 101
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_PAYLOAD_TOO_LARGE = 413
_CLASS_OF_STATUS = {401: ErrorClass.ACCOUNT, _PAYLOAD_TOO_LARGE: ErrorClass.TOO_LARGE, 429: ErrorClass.TRANSIENT}
_CLIENT_ERRORS = range(400, 500)
_REFUSED = frozenset({404, 415, 422})
"""The other statuses by which Postmark documents that it refused a request as a whole."""
_UNAVAILABLE = 503


def classify_code(code: int, message: str) -> ErrorClass | None:
    """The class of an ErrorCode, or None for one that the table does not know."""
    if code == _INACTIVE_RECIPIENT:
        return ErrorClass.SUPPRESSED
    if code == _INVALID_EMAIL:
        return _classify_invalid_email(message)
    if code in _ACCOUNT_CODES:
        return ErrorClass.ACCOUNT
    if code in _CONFIGURATION_CODES:
        return ErrorClass.CONFIGURATION
    if code in _MESSAGE_CODES:
        return ErrorClass.MESSAGE
    if code in {_MAINTENANCE, _TOO_MANY_REQUESTS}:
        return ErrorClass.TRANSIENT
    if code == _INTERNAL_ERROR:
        return ErrorClass.AMBIGUOUS
    return None


def _classify_invalid_email(message: str) -> ErrorClass:
    """Code 300 is one number for many faults; the text names the field."""
    if any(f"'{field}'" in message for field in ("To", "Cc", "Bcc")):
        return ErrorClass.RECIPIENT
    return ErrorClass.CONFIGURATION if _names_sender(message) else ErrorClass.MESSAGE


def _names_sender(message: str) -> bool:
    return any(f"'{field}'" in message for field in ("From", "ReplyTo"))


def is_about_sender(code: int, message: str) -> bool:
    """Whether a `CONFIGURATION` error is about whom the mail comes from, or where its answers go."""
    return code in _SENDER_CODES or (code == _INVALID_EMAIL and _names_sender(message))


def classify_item(code: int, message: str) -> ErrorClass:
    """The class of one item's error inside a 200 answer to a batch. An unknown code fails that message alone."""
    return classify_code(code, message) or ErrorClass.MESSAGE


def classify_response(status: int, code: int | None, message: str) -> ErrorClass:
    """The class of a whole request's error. `code` is None when the answer is not Postmark's own refusal."""
    if status == _PAYLOAD_TOO_LARGE and code == _NO_ERROR:
        return ErrorClass.TOO_LARGE  # Postmark documents no code of its own for this status
    if code is None or code <= _NO_ERROR or code == _INTERNAL_ERROR:
        return ErrorClass.AMBIGUOUS
    if status == _UNAVAILABLE and code == _MAINTENANCE:
        return ErrorClass.TRANSIENT
    if status not in _CLIENT_ERRORS or status == _REQUEST_TIMEOUT:
        return ErrorClass.AMBIGUOUS
    by_status = _CLASS_OF_STATUS.get(status)
    if by_status is not None:
        return by_status
    known = classify_code(code, message)
    if known in {ErrorClass.ACCOUNT, ErrorClass.CONFIGURATION}:
        return known
    # A whole request refused for a reason that fits one message, or for an unknown one: nothing was sent, and the issue
    # is paused. A status that Postmark does not document proves that only with a known code.
    return ErrorClass.CONFIGURATION if status in _REFUSED else ErrorClass.AMBIGUOUS
