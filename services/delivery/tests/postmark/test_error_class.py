"""The whole error table of Postmark's documentation, row by row."""

import pytest

from broadsheet_delivery.postmark.error_class import ErrorClass, classify_item, classify_response

ITEMS = [
    (300, "Invalid 'To' address: 'x'.", ErrorClass.RECIPIENT),
    (300, "Invalid 'Cc' address: 'x'.", ErrorClass.RECIPIENT),
    (300, "Invalid 'Bcc' address: 'x'.", ErrorClass.RECIPIENT),
    (300, "Invalid 'From' address: 'x'.", ErrorClass.CONFIGURATION),
    (300, "Invalid 'ReplyTo' address: 'x'.", ErrorClass.CONFIGURATION),
    (300, "Zero recipients specified", ErrorClass.MESSAGE),
    (406, "", ErrorClass.SUPPRESSED),
    (411, "", ErrorClass.MESSAGE),
    (100, "", ErrorClass.TRANSIENT),
    (429, "", ErrorClass.TRANSIENT),
    (101, "", ErrorClass.AMBIGUOUS),
    *((code, "", ErrorClass.ACCOUNT) for code in (10, 14, 405, 412, 413, 422, 1480)),
    *((code, "", ErrorClass.CONFIGURATION) for code in (400, 401, 402, 403, 409, 410)),
    *((code, "", ErrorClass.CONFIGURATION) for code in (1100, 1101, 1131, 1226, 1235, 1236, 1238)),
    (987_654, "Something new", ErrorClass.MESSAGE),
]


@pytest.mark.parametrize(("code", "message", "expected"), ITEMS)
def test_an_items_error_has_its_class(code: int, message: str, expected: ErrorClass) -> None:
    assert classify_item(code, message) is expected


RESPONSES = [
    (401, 10, ErrorClass.ACCOUNT),
    (404, 1226, ErrorClass.CONFIGURATION),
    (413, 413, ErrorClass.TOO_LARGE),
    (413, 0, ErrorClass.TOO_LARGE),
    (415, 409, ErrorClass.CONFIGURATION),
    # 401 and 413 as codes are a sender signature and an unapproved account, not what they are as statuses.
    (422, 401, ErrorClass.CONFIGURATION),
    (422, 413, ErrorClass.ACCOUNT),
    (422, 405, ErrorClass.ACCOUNT),
    (422, 412, ErrorClass.ACCOUNT),
    (422, 422, ErrorClass.ACCOUNT),
    (422, 1480, ErrorClass.ACCOUNT),
    (422, 402, ErrorClass.CONFIGURATION),
    (422, 406, ErrorClass.CONFIGURATION),
    (422, 410, ErrorClass.CONFIGURATION),
    (422, 987_654, ErrorClass.CONFIGURATION),
    (429, 429, ErrorClass.TRANSIENT),
    (500, 101, ErrorClass.AMBIGUOUS),
    (503, 100, ErrorClass.TRANSIENT),
    (503, 101, ErrorClass.AMBIGUOUS),
    # Postmark does not document this status: a code that it documents proves the refusal, another does not.
    (403, 405, ErrorClass.ACCOUNT),
    (403, 402, ErrorClass.CONFIGURATION),
    (403, 987_654, ErrorClass.AMBIGUOUS),
    # Contradictions prove nothing: no error, or an internal one, in a refusal.
    (422, 0, ErrorClass.AMBIGUOUS),
    (422, -1, ErrorClass.AMBIGUOUS),
    (422, 101, ErrorClass.AMBIGUOUS),
    (401, 0, ErrorClass.AMBIGUOUS),
    (200, 405, ErrorClass.AMBIGUOUS),
    (302, 405, ErrorClass.AMBIGUOUS),
    (408, 405, ErrorClass.AMBIGUOUS),
    (500, 405, ErrorClass.AMBIGUOUS),
]


@pytest.mark.parametrize(("status", "code", "expected"), RESPONSES)
def test_a_responses_error_has_its_class_by_status_first(status: int, code: int | None, expected: ErrorClass) -> None:
    assert classify_response(status, code, "") is expected


def test_without_postmarks_own_refusal_no_status_proves_anything() -> None:
    assert {classify_response(status, None, "") for status in range(100, 600)} == {ErrorClass.AMBIGUOUS}
