"""What one item's result in a batch answer means for its delivery."""

import uuid

import pytest

from broadsheet_delivery.postmark.call_result import AcceptedItem, RejectedItem
from broadsheet_delivery.postmark.judge_item import judge_item
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


def test_an_accepted_item_names_its_message() -> None:
    assert judge_item(AcceptedItem(uuid.UUID(int=7))) == Accepted(uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (RejectedItem(300, "Invalid 'To' address."), Failed("300: Invalid 'To' address.", 300)),
        (RejectedItem(411, "Not valid."), Failed("411: Not valid.", 411)),
        (RejectedItem(987_654, "New."), Failed("987654: New.", 987_654)),
        (RejectedItem(406, "Inactive."), Suppressed("406: Inactive.", 406)),
        (RejectedItem(100, "Maintenance."), RetryAlone("100: Maintenance.", 100)),
        (RejectedItem(101, "Internal."), AskAlone("101: Internal.", 101)),
        (RejectedItem(300, "Invalid 'From' address."), StopIssue("300: Invalid 'From' address.", about_sender=True)),
        (RejectedItem(401, "Unconfirmed."), StopIssue("401: Unconfirmed.", about_sender=True)),
        (RejectedItem(402, "Invalid JSON."), StopIssue("402: Invalid JSON.")),
        (RejectedItem(405, "Not allowed."), StopSending("405: Not allowed.")),
        (RejectedItem(406, ""), Suppressed("Postmark error 406", 406)),
    ],
)
def test_a_refused_item_has_the_effect_of_its_code_and_keeps_its_text(
    item: RejectedItem, expected: ItemVerdict
) -> None:
    assert judge_item(item) == expected


def test_the_reason_holds_no_address() -> None:
    verdict = judge_item(RejectedItem(406, "Found inactive addresses: ada@example.com."))
    assert isinstance(verdict, Suppressed)
    assert "ada@example.com" not in verdict.reason
    assert verdict.reason.startswith("406: Found inactive addresses: ")
