"""Sample data of the page that sends an issue."""

from datetime import datetime

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.publish.views import (
    Approval,
    Audience,
    Excluded,
    Person,
    SendPage,
    TypedSchedule,
    Wave,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.samples.admin.writing import FINDINGS, LETTER, NUMBER, TYPED, at
from broadsheet_gateway.pages.views import PageView, SignedIn


def send_samples(signed_in: SignedIn) -> dict[str, PageView]:
    send = SendPage(
        signed_in=signed_in,
        issue_id=NUMBER,
        title=TYPED.title,
        subject=TYPED.title,
        status=IssueStatus.DRAFT,
        version=7,
        newsletter=LETTER,
        blocking=(),
        warnings=1,
        audience=Audience(
            count=19_874,
            excluded=Excluded(183, 642, 0, 61, 3),
            sample=(Person(12, "ada@example.com", "Ada"), Person(40, "grace@example.com")),
            as_of=at(13, 8, 2),
            token="sample-token",  # noqa: S106 (sample data)
        ),
        send_key="sample-key",
        test_key="sample-key-2",
        typed=TypedSchedule(time_zone="Europe/Paris"),
    )
    return {
        "send": send,
        "send-paused": msgspec.structs.replace(
            send,
            held_up="All sending is paused. Reason: The provider asked us to",
            typed_to="admin@example.com",
            inbox_url="http://127.0.0.1:8085/inbox",
        ),
        "send-nobody": msgspec.structs.replace(
            send,
            audience=Audience(count=0, excluded=Excluded(183, 0, 40), as_of=at(13, 8, 2), token="sample-token"),  # noqa: S106 (sample data)
            has_segment=True,
            segment_name="Members in London",
            has_own_address=False,
        ),
        "send-blocked": msgspec.structs.replace(
            send,
            blocking=FINDINGS[:1],
            newsletter=msgspec.structs.replace(
                LETTER, is_ready=False, missing=("postal_address",), from_email=None
            ),
            audience=None,
            audience_refusal="The segment is not there any more.",
            has_segment=True,
        ),
        "send-refused": msgspec.structs.replace(
            send,
            failed_form="send",
            typed=TypedSchedule(when="later", at="2026-10-25T02:30", time_zone="Europe/Paris"),
            errors={"occurrence": "This time comes twice on that day: choose one."},
            has_ab_test=True,
        ),
        "send-approval": msgspec.structs.replace(
            send,
            approval=Approval(
                is_required=True, state="requested", version=7, requested_by="grace", requested_at=at(13, 7),
                request_note="Please look at the second part.",
            ),
            may_approve=True,
        ),
        "send-ask-approval": msgspec.structs.replace(
            send, approval=Approval(is_required=True, state="void", version=6), has_segment=True,
            segment_name="Members in London",
        ),
        "send-approved": msgspec.structs.replace(
            send, approval=Approval(is_required=True, state="approved", version=7, decided_by="grace"),
            blocking=None,
        ),
        "send-own-request": msgspec.structs.replace(
            send, approval=Approval(is_required=True, state="requested", version=7, requested_by="admin"),
            is_ones_own_request=True, may_approve=True, may_publish=False,
        ),
        "send-scheduled": msgspec.structs.replace(
            send,
            status=IssueStatus.SCHEDULED,
            scheduled_at=at(29, 6),
            scheduled_local=datetime(2026, 3, 29, 8),  # noqa: DTZ001 (a local time, its zone beside it)
            scheduled_time_zone="Europe/Paris",
            in_reader_time_zone=True,
            waves=(
                Wave(due_at=at(28, 23), time_zones=("Asia/Tokyo",), recipients=None),
                Wave(due_at=at(29, 6), time_zones=("Europe/Paris", "Europe/Berlin"), is_fallback=True),
            ),
            flashes=(FlashCode.ISSUE_SCHEDULED,),
        ),
    }  # fmt: skip
