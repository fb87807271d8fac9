"""The JSON API on the audience of an issue before it is published; below `/api/v1/issues`."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.problems import ConflictError, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.audience.audience import Excluded, Person
from broadsheet_publishing.audience.audience_token import TOKEN_CHARS_MAX
from broadsheet_publishing.audience.count_audience import Previous, show_audience
from broadsheet_publishing.issues.interface import newsletter_of_issue
from broadsheet_publishing.issues.publish_issue import AlreadyPublishedError, SegmentGoneError


class AudienceInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`token`: of an earlier answer, to be compared with."""

    token: Annotated[str, msgspec.Meta(max_length=TOKEN_CHARS_MAX)] | None = None


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """`count` people would get the issue if it were published at `as_of`. `sample`: ten of them at most, from the whole
    audience. With `token`, the issue is published to an audience of this size or to none (see `publishIssue`).
    """

    issue_id: int
    newsletter_id: int
    segment_id: int | None
    count: int
    excluded: Excluded
    sample: list[Person]
    as_of: datetime
    previous: Previous | None
    token: str


class AudienceController(Controller):
    path = "/api/v1/issues"
    tags = ("Audience",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/audience",
        operation_id="countAudience",
        summary="Who would get an issue, and why the others would not",
        status_code=200,
        guards=[requires("issues:preview", newsletter=newsletter_of_issue), json_only],
        responses=documents(
            NotFoundError, AlreadyPublishedError, SegmentGoneError, ConflictError, InvalidInputError, body=True
        ),
    )
    async def count_audience(
        self, issue_id: PathId, data: JSONBody[AudienceInput], engine: NamedDependency[AsyncEngine]
    ) -> Audience:
        """Of a draft or a scheduled issue. `count` and `excluded` without `erased` add up to the newsletter's
        subscriptions. Those of `suppressed` count in the published issue's `counts.audience`, and are sent nothing.
        """
        shown = await show_audience(engine, issue_id, previous_token=data.token)
        return Audience(
            issue_id=shown.issue.id,
            newsletter_id=shown.issue.newsletter_id,
            segment_id=shown.issue.segment_id,
            count=shown.count.count,
            excluded=shown.count.excluded,
            sample=shown.sample,
            as_of=shown.count.as_of,
            previous=shown.previous,
            token=shown.token,
        )
