"""The JSON API on the A/B test of a published issue; below `/api/v1/issues`."""

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
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.issues.interface import newsletter_of_issue
from broadsheet_publishing.tables import idempotency_key
from broadsheet_publishing.variants import store
from broadsheet_publishing.variants.ab_test import DecideBy
from broadsheet_publishing.variants.decide_winner import NothingToChooseError, WinnerChosenError, choose_by_hand
from broadsheet_publishing.variants.winner import Reason

_log = structlog.get_logger()


class WinnerInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`variant` 1 is the issue itself; 2 to 4 are the other versions in order."""

    variant: Annotated[int, msgspec.Meta(ge=1, le=4)]


class AbTestState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the test is. `look_at`: when the figures decide next; null: a person does, or it is decided. `reason` is
    `rate` (its rate was the highest), `tie` (of several with the highest rate the first), `too_few` (too few people got
    each variant, so the first), `by_hand`, or `cancelled` (without a winner). The report shows figures by variant.
    """

    variant_count: int
    share_percent: int
    decide_by: DecideBy
    sample_min: int
    look_at: datetime | None
    winner: int | None
    reason: Reason | None
    decided_at: datetime | None
    decided_by: str | None


class AbTestController(Controller):
    path = "/api/v1/issues"
    tags = ("A/B tests",)
    request_class = JsonRequest

    @get(
        "/{issue_id:int}/ab-test",
        operation_id="getAbTest",
        summary="How far the A/B test of a published issue is",
        guards=[requires("issues:read", newsletter=newsletter_of_issue)],
        responses=documents(NotFoundError),
    )
    async def get_ab_test(self, issue_id: PathId, engine: NamedDependency[AsyncEngine]) -> AbTestState:
        async with engine.connect() as connection:
            row = await store.find_ab_test(connection, issue_id)
        if row is None:
            raise NotFoundError("There is no published issue with an A/B test of this number.")
        return _shown(row)

    @post(
        "/{issue_id:int}/winner",
        operation_id="chooseWinner",
        summary="Choose the winner of an A/B test by hand",
        status_code=200,
        guards=[requires("issues:publish", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            WinnerChosenError,
            NothingToChooseError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def choose_winner(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[WinnerInput],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> AbTestState:
        """All who were not in the test get this variant now, also if the figures were to decide later."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay_body(answer, AbTestState)
            row = await choose_by_hand(connection, issue_id, data.variant, by=request.user)
            state = _shown(row)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=state)
        _log.info("publishing.ab_test_decided", issue_id=issue_id, winner=row.winner)
        return state


def _shown(row: store.AbTestRow) -> AbTestState:
    return AbTestState(
        variant_count=row.variant_count,
        share_percent=row.share_percent,
        decide_by=row.decide_by,
        sample_min=row.sample_min,
        look_at=row.look_at if row.decided_at is None else None,
        winner=row.winner,
        reason=row.reason,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
