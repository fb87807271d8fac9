"""The JSON API on newsletters: `/api/v1/newsletters`."""

from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.edit_newsletter import edit_newsletter, parse_change

_log = structlog.get_logger()


class Newsletter(msgspec.Struct, frozen=True):
    """A newsletter. A null `from_name`, `from_email` or `reply_to` means the installation's own.

    `allowed_origins`: sites that hold its form, and whose scripts may read the answers. `is_listed`: the public
    home page names it.
    """

    id: int
    slug: str
    name: str
    is_default: bool
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    message_stream: str
    unsubscribe_handling: str
    postal_address: str
    allowed_origins: list[str]
    is_listed: bool


class NewsletterPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields to change; a field that is left out stays unchanged. An origin is a scheme and a host, as in
    `https://blog.example`.
    """

    allowed_origins: Annotated[list[str], msgspec.Meta(max_length=100)] | None = None
    is_listed: bool | None = None


class NewsletterController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Newsletters",)
    guards = (requires("read"),)
    request_class = JsonRequest

    @get(operation_id="listNewsletters", summary="List newsletters", responses=documents())
    async def list_newsletters(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Newsletter]:
        async with engine.connect() as connection:
            rows = await store.list_newsletters(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
        return Page([_newsletter(row) for row in rows[:limit]], _next_cursor(rows, limit))

    @get(
        "/{newsletter_id:int}",
        operation_id="getNewsletter",
        summary="Get a newsletter",
        responses=documents(NotFoundError),
    )
    async def get_newsletter(self, engine: NamedDependency[AsyncEngine], newsletter_id: PathId) -> Response[Newsletter]:
        async with engine.connect() as connection:
            row = await store.find_newsletter(connection, newsletter_id)
        if row is None:
            raise NotFoundError("There is no such newsletter.")
        return _tagged(_newsletter(row))

    @patch(
        "/{newsletter_id:int}",
        operation_id="changeNewsletter",
        summary="Change what a newsletter says of its sign-up",
        guards=[requires("write"), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, PreconditionRequiredError, PreconditionFailedError, body=True
        ),
    )
    async def change_newsletter(
        self,
        newsletter_id: PathId,
        data: JSONBody[NewsletterPatch],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[Newsletter]:
        """It takes effect for the public forms within NEWSLETTER_CACHE_S."""
        change = parse_change(allowed_origins=data.allowed_origins, is_listed=data.is_listed)
        async with engine.begin() as connection:
            row = await edit_newsletter(connection, newsletter_id, change, if_match=if_match, represent=_newsletter)
        _log.info("publishing.newsletter_changed", newsletter_id=row.id)
        return _tagged(_newsletter(row))


def _next_cursor(rows: list[store.NewsletterRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _tagged(newsletter: Newsletter) -> Response[Newsletter]:
    return Response(newsletter, headers={"ETag": entity_tag(newsletter)})


def _newsletter(row: store.NewsletterRow) -> Newsletter:
    return Newsletter(**msgspec.structs.asdict(row))
