"""The JSON API on approvals; below `/api/v1/issues`."""

from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay_body,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.approvals import store
from broadsheet_publishing.approvals.approval import NOTE_CHARS_MAX, ApprovalState, Decision, state_of
from broadsheet_publishing.approvals.approval import Approval as Record
from broadsheet_publishing.approvals.request_approval import (
    AskedAlreadyError,
    NothingToDecideError,
    NotYoursToDecideError,
    decide_approval,
    request_approval,
)
from broadsheet_publishing.drafts.save_draft import NotADraftError
from broadsheet_publishing.issues.interface import IssueRow, find_issue, newsletter_of_issue
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

Note = Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """`is_required`: the newsletter's issues go out only when approved. `state` is about the issue as it is now: void
    means that the issue was changed since. `version` is the one that was asked about.
    """

    is_required: bool
    state: ApprovalState
    version: int | None
    requested_by: str | None
    requested_at: datetime | None
    request_note: str
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str


class ApprovalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    note: Note = ""


class ApprovalDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`version`: the one that was looked at."""

    decision: Decision
    version: RecordId
    note: Note = ""


class ApprovalController(Controller):
    path = "/api/v1/issues"
    tags = ("Approvals",)
    request_class = JsonRequest

    @get(
        "/{issue_id:int}/approval",
        operation_id="getApproval",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        summary="Whether an issue is approved as it is",
        responses=documents(NotFoundError),
    )
    async def get_approval(self, issue_id: PathId, engine: NamedDependency[AsyncEngine]) -> Approval:
        async with engine.connect() as connection:
            issue = await find_issue(connection, issue_id)
            if issue is None:
                raise NotFoundError("There is no such issue.")
            newsletter = await find_newsletter(connection, issue.newsletter_id)
            found = await store.find_approval(connection, issue_id)
        assert newsletter is not None, "the issue's foreign key"
        return _approval(issue, found, is_required=newsletter.requires_approval)

    @post(
        "/{issue_id:int}/approval",
        operation_id="requestApproval",
        summary="Ask another person to approve a draft as it is now",
        guards=[requires("issues:write", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            NotADraftError,
            AskedAlreadyError,
            InvalidInputError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def request_approval(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[ApprovalRequest],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Approval:
        """A change of the draft makes it void."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay_body(answer, Approval)
            issue, record = await request_approval(connection, issue_id, by=request.user, note=data.note)
            newsletter = await find_newsletter(connection, issue.newsletter_id)
            assert newsletter is not None, "the issue's foreign key"
            approval = _approval(issue, record, is_required=newsletter.requires_approval)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=approval)
        _log.info("publishing.approval_requested", issue_id=issue_id, version=record.version)
        return approval

    @post(
        "/{issue_id:int}/approval/decision",
        operation_id="decideApproval",
        summary="Approve or refuse a draft",
        status_code=200,
        guards=[requires("issues:approve", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            NotADraftError,
            NothingToDecideError,
            NotYoursToDecideError,
            InvalidInputError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def decide_approval(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[ApprovalDecision],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Approval:
        """By a signed-in person who neither asked for it nor saved this version."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay_body(answer, Approval)
            issue, record = await decide_approval(
                connection,
                issue_id,
                version=data.version,
                decision=data.decision,
                by=request.user,
                note=data.note,
            )
            newsletter = await find_newsletter(connection, issue.newsletter_id)
            assert newsletter is not None, "the issue's foreign key"
            approval = _approval(issue, record, is_required=newsletter.requires_approval)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=approval)
        _log.info("publishing.approval_decided", issue_id=issue_id, version=record.version, decision=data.decision)
        return approval


def _approval(issue: IssueRow, record: Record | None, *, is_required: bool) -> Approval:
    return Approval(
        is_required=is_required,
        state=state_of(record, version=issue.version),
        version=record.version if record else None,
        requested_by=record.requested_by if record else None,
        requested_at=record.requested_at if record else None,
        request_note=record.request_note if record else "",
        decided_by=record.decided_by if record else None,
        decided_at=record.decided_at if record else None,
        decision_note=record.decision_note if record else "",
    )
