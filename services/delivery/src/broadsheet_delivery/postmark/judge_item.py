"""From one item's result in a batch answer to the delivery's outcome. Pure."""

from typing import assert_never

from broadsheet_common.process.redaction import redact
from broadsheet_delivery.postmark.call_result import AcceptedItem, ItemResult
from broadsheet_delivery.postmark.error_class import ErrorClass, classify_item, is_about_sender
from broadsheet_delivery.queue.outcome import (
    Accepted,
    AskAlone,
    Failed,
    ItemVerdict,
    RetryAlone,
    StopIssue,
    StopSending,
    Suppressed,
)


def judge_item(item: ItemResult) -> ItemVerdict:
    """Every error code has a verdict; none is dropped."""
    if isinstance(item, AcceptedItem):
        return Accepted(item.message_id)
    # Postmark's text names addresses; append-only records must hold none (see `finish_erasures`).
    reason = f"{item.error_code}: {redact(item.message)}" if item.message else f"Postmark error {item.error_code}"
    error_class = classify_item(item.error_code, item.message)
    match error_class:
        case ErrorClass.RECIPIENT | ErrorClass.MESSAGE | ErrorClass.TOO_LARGE:
            return Failed(reason, item.error_code)
        case ErrorClass.SUPPRESSED:
            return Suppressed(reason, item.error_code)
        case ErrorClass.TRANSIENT:
            return RetryAlone(reason, item.error_code)
        case ErrorClass.AMBIGUOUS:
            return AskAlone(reason, item.error_code)
        case ErrorClass.CONFIGURATION:
            return StopIssue(reason, about_sender=is_about_sender(item.error_code, item.message))
        case ErrorClass.ACCOUNT:
            return StopSending(reason)
        case _:
            assert_never(error_class)
