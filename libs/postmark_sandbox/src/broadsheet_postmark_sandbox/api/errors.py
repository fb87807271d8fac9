"""Postmark's errors: the JSON pair `{ErrorCode, Message}`, its HTTP status and its exact texts.

Source: Postmark's "API error codes" page. HTTP statuses and ErrorCodes are two number spaces that overlap: HTTP
413 is a payload too large, ErrorCode 413 an account that is not approved.
"""

from typing import Final, Literal

import msgspec

OK_MESSAGE: Final = "OK"
TEST_MESSAGE: Final = "Test job accepted"
DELAYED_MESSAGE: Final = "Message accepted, but delivery may be delayed."

RecipientField = Literal["To", "Cc", "Bcc"]


class Refusal(msgspec.Struct, frozen=True, rename="pascal"):
    """Why a message was not accepted; in a batch, the whole item of the answer."""

    error_code: int
    message: str


class PostmarkError(Exception):
    """A whole request is refused; the app answers with this JSON and the header X-PM-ApiErrorCode."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.refusal = Refusal(error_code=error_code, message=message)


def missing_token() -> PostmarkError:
    return PostmarkError(
        401,
        10,
        "No Account or Server API tokens were supplied in the HTTP headers. Please add a header for either "
        "X-Postmark-Server-Token or X-Postmark-Account-Token.",
    )


def invalid_token() -> PostmarkError:
    return PostmarkError(
        401,
        10,
        "The Server Token you provided in the X-Postmark-Server-Token request header was invalid. "
        "Please verify that you are using a valid token.",
    )


def json_headers_missing(header: str) -> PostmarkError:
    return PostmarkError(
        415,
        409,
        f"Unsupported media type: your HTTP request does not have the {header} header set to application/json.",
    )


def invalid_json(detail: str) -> PostmarkError:
    return PostmarkError(422, 402, f"Invalid JSON: {detail}")


def incompatible_json(detail: str) -> PostmarkError:
    return PostmarkError(422, 403, f"Incompatible JSON: {detail}")


def payload_too_large(bytes_max: int) -> PostmarkError:
    return PostmarkError(413, 413, f"Payload too large: the maximum is {bytes_max} bytes.")


def too_many_batch_messages(messages_max: int) -> PostmarkError:
    return PostmarkError(422, 410, f"You may only send up to {messages_max} messages in a batch.")


def message_not_found() -> PostmarkError:
    return PostmarkError(422, 701, "This message was not found.")


def bad_paging(detail: str) -> PostmarkError:
    return PostmarkError(422, 700, detail)


def bad_filter(detail: str) -> PostmarkError:
    return PostmarkError(422, 700, detail)


def stream_not_found(stream: str) -> PostmarkError:
    return PostmarkError(422, 1226, f"The message stream '{stream}' was not found on this server.")


def invalid_address(field: str, value: str) -> Refusal:
    return Refusal(300, f"Invalid '{field}' address: '{value}'.")


def invalid_request(detail: str) -> Refusal:
    return Refusal(300, detail)


def inactive_recipients(addresses: tuple[str, ...]) -> Refusal:
    """The text of error 406, with the trailing space that Postmark sends."""
    return Refusal(
        406,
        "You tried to send to a recipient that has been marked as inactive. "
        f"Found inactive addresses: {', '.join(addresses)}. "
        "Inactive recipients are ones that have generated a hard bounce, a spam complaint, "
        "or a manual suppression. ",
    )


def partly_inactive_message(addresses: tuple[str, ...]) -> str:
    """The text for an accepted message, some of whose recipients are suppressed."""
    return (
        f"Message OK, but will not deliver to these inactive addresses: {', '.join(addresses)}. "
        "Inactive recipients are ones that have generated a hard bounce, a spam complaint, "
        "or a manual suppression."
    )


def unknown_sending_stream(stream: str) -> Refusal:
    return Refusal(1235, f"The 'MessageStream' provided does not exist on this server: '{stream}'.")


def wrong_stream_type(stream: str) -> Refusal:
    return Refusal(1236, f"The 'MessageStream' provided cannot send messages: '{stream}'.")


def forbidden_attachment(name: str) -> Refusal:
    return Refusal(411, f"Forbidden attachment type: '{name}'.")


_DEFAULT_TEXTS: Final = {
    10: "The Server Token you provided in the X-Postmark-Server-Token request header was invalid. "
    "Please verify that you are using a valid token.",
    100: "Postmark is currently offline for maintenance. Please try again later.",
    101: "Internal server error. Please try again later.",
    400: "The 'From' address you supplied is not a Sender Signature on your account. Please add and confirm "
    "this address in order to be able to use it in the 'From' field of your messages.",
    401: "The Sender Signature for this 'From' address is not confirmed. Please confirm it first.",
    405: "Not allowed to send: you ran out of credits.",
    411: "Forbidden attachment type.",
    412: "While your account is pending approval, all recipient addresses must share the same domain as the "
    "'From' address.",
    413: "Your account has been disabled or is not approved for sending.",
    422: "Invalid server or account.",
    429: "Too many requests: the rate limit has been exceeded.",
    1480: "The source IP address is not allowed.",
}


def default_text(error_code: int) -> str:
    return _DEFAULT_TEXTS.get(error_code, f"Error {error_code}.")


def refusal_for(error_code: int, address: str, *, name_address: bool = True) -> Refusal:
    """Postmark's refusal of one message with this code, about this recipient.

    `name_address=False` makes the form of 406 whose list of addresses is empty; Postmark has been seen to send
    it.
    """
    match error_code:
        case 300:
            return invalid_address("To", address)
        case 406:
            return inactive_recipients((address,) if name_address else ())
        case _:
            return Refusal(error_code, default_text(error_code))
