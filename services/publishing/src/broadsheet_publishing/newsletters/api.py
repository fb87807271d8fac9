"""The JSON API on newsletters: `/api/v1/newsletters`."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import structlog
from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
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
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.archive_newsletter import NewsletterInUseError, archive_newsletter
from broadsheet_publishing.newsletters.create_newsletter import SlugTakenError, create_newsletter
from broadsheet_publishing.newsletters.edit_newsletter import edit_newsletter
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.newsletter import MissingSetting, missing_settings, parse_settings
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

_RAW_CHARS_MAX = 10_000
"""Longer texts are refused before they are looked at."""
Text = Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)]
Direction = Literal["ltr", "rtl"]
UnsubscribeHandling = Literal["custom", "postmark"]
Origins = Annotated[list[str], msgspec.Meta(max_length=100)]
WithArchived = Annotated[bool, QueryParameter(name="archived", description="Archived newsletters too")]


class Newsletter(msgspec.Struct, frozen=True, kw_only=True):
    """A newsletter. A null `from_name`, `from_email` or `reply_to` means the installation's own.

    `is_ready`: it can publish; if not, `missing` names the settings that it lacks. `language` (BCP 47), `direction`,
    `accent_colour` (`#rrggbb`) and the logo are for its mails and public pages. `layout_id` null is the layout that
    ships. Empty `sign_up_…` texts mean the page's own words. `allowed_origins`: sites that hold its form, and whose
    scripts may read the answers. `is_listed`: the public home page names it. `has_archive`: what was sent can be read
    on the web; `archive_is_hidden`: search engines are asked not to list it. `track_opens`, `track_links`: Postmark
    reports who opened a mail and which links were followed; its sign-up page says so. `requires_approval`: an issue
    goes out only after another person approved it. An archived newsletter takes no sign-ups and publishes nothing.
    """

    id: int
    slug: str
    name: str
    is_default: bool
    is_ready: bool
    missing: tuple[MissingSetting, ...]
    description: str
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    postal_address: str
    message_stream: str
    unsubscribe_handling: UnsubscribeHandling
    language: str
    direction: Direction
    time_zone: str
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    layout_id: int | None
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    allowed_origins: list[str]
    is_listed: bool
    has_archive: bool
    archive_is_hidden: bool
    track_opens: bool
    track_links: bool
    requires_approval: bool
    created_at: datetime
    archived_at: datetime | None


class NewsletterPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields to change; a field that is left out stays unchanged, and null sets what may be null to the
    installation's own. An origin is a scheme and a host, as in `https://blog.example`.
    """

    slug: Text | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    from_name: Text | UnsetType | None = UNSET
    from_email: Text | UnsetType | None = UNSET
    reply_to: Text | UnsetType | None = UNSET
    postal_address: Text | UnsetType = UNSET
    message_stream: Text | UnsetType = UNSET
    unsubscribe_handling: UnsubscribeHandling | UnsetType = UNSET
    language: Text | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET
    time_zone: Text | UnsetType = UNSET
    accent_colour: Text | UnsetType = UNSET
    logo_url: Text | UnsetType | None = UNSET
    logo_alt: Text | UnsetType = UNSET
    layout_id: RecordId | UnsetType | None = UNSET
    sign_up_heading: Text | UnsetType = UNSET
    sign_up_text: Text | UnsetType = UNSET
    sign_up_button: Text | UnsetType = UNSET
    allowed_origins: Origins | UnsetType = UNSET
    is_listed: bool | UnsetType = UNSET
    has_archive: bool | UnsetType = UNSET
    archive_is_hidden: bool | UnsetType = UNSET
    track_opens: bool | UnsetType = UNSET
    track_links: bool | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        """The fields that were sent."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not UNSET}


class NewsletterInput(NewsletterPatch, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new newsletter. Only the name is needed; without a slug, the name gives it. It has an archive unless
    `has_archive` is false.
    """

    name: Text
    has_archive: bool = True


class NewsletterController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Newsletters",)
    guards = (requires("read"),)
    request_class = JsonRequest

    @get(operation_id="listNewsletters", summary="List newsletters", responses=documents())
    async def list_newsletters(
        self,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        with_archived: WithArchived = False,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Newsletter]:
        async with engine.connect() as connection:
            rows = await store.list_newsletters(
                connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1, with_archived=with_archived
            )
        return Page([_newsletter(row, installation) for row in rows[:limit]], _next_cursor(rows, limit))

    @post(
        operation_id="createNewsletter",
        summary="Create a newsletter",
        guards=[requires("write"), json_only],
        responses=documents(
            InvalidInputError, SlugTakenError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def create_newsletter(
        self,
        request: ServiceRequest,
        data: JSONBody[NewsletterInput],
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Newsletter]:
        """It takes sign-ups at once. Publishing needs a sender and a postal address; `missing` names what lacks."""
        values = parse_settings(data.given())
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Newsletter)
            newsletter = _newsletter(await create_newsletter(connection, values), installation)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=newsletter)
        _log.info("publishing.newsletter_created", newsletter_id=newsletter.id)
        return _tagged(newsletter, status_code=201)

    @get(
        "/{newsletter_id:int}",
        operation_id="getNewsletter",
        summary="Get a newsletter",
        responses=documents(NotFoundError),
    )
    async def get_newsletter(
        self,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        newsletter_id: PathId,
    ) -> Response[Newsletter]:
        async with engine.connect() as connection:
            row = await store.find_newsletter(connection, newsletter_id)
        if row is None:
            raise NotFoundError("There is no such newsletter.")
        return _tagged(_newsletter(row, installation))

    @patch(
        "/{newsletter_id:int}",
        operation_id="changeNewsletter",
        summary="Change the settings of a newsletter",
        guards=[requires("write"), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            SlugTakenError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_newsletter(
        self,
        newsletter_id: PathId,
        data: JSONBody[NewsletterPatch],
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        if_match: IfMatchHeader = None,
    ) -> Response[Newsletter]:
        """It takes effect for the public forms within NEWSLETTER_CACHE_S, for mails with the next one sent."""
        values = parse_settings(data.given())
        async with engine.begin() as connection:
            row = await edit_newsletter(
                connection,
                newsletter_id,
                values,
                if_match=if_match,
                represent=lambda row: _newsletter(row, installation),
            )
        _log.info("publishing.newsletter_changed", newsletter_id=row.id)
        return _tagged(_newsletter(row, installation))

    @post(
        "/{newsletter_id:int}/archive",
        operation_id="archiveNewsletter",
        summary="Archive a newsletter: no more sign-ups, no more issues",
        status_code=200,
        guards=[requires("write")],
        responses=documents(NotFoundError, NewsletterInUseError),
    )
    async def archive_newsletter(
        self,
        newsletter_id: PathId,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
    ) -> Response[Newsletter]:
        """What was sent stays, and readers can still unsubscribe. Archiving an archived one changes nothing."""
        async with engine.begin() as connection:
            row = await archive_newsletter(connection, newsletter_id, is_archived=True)
        _log.info("publishing.newsletter_archived", newsletter_id=row.id)
        return _tagged(_newsletter(row, installation))

    @post(
        "/{newsletter_id:int}/unarchive",
        operation_id="unarchiveNewsletter",
        summary="Use an archived newsletter again",
        status_code=200,
        guards=[requires("write")],
        responses=documents(NotFoundError, NewsletterInUseError),
    )
    async def unarchive_newsletter(
        self,
        newsletter_id: PathId,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
    ) -> Response[Newsletter]:
        async with engine.begin() as connection:
            row = await archive_newsletter(connection, newsletter_id, is_archived=False)
        _log.info("publishing.newsletter_unarchived", newsletter_id=row.id)
        return _tagged(_newsletter(row, installation))


def _next_cursor(rows: list[store.NewsletterRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _tagged(newsletter: Newsletter, *, status_code: int = 200) -> Response[Newsletter]:
    return Response(newsletter, headers={"ETag": entity_tag(newsletter)}, status_code=status_code)


def _newsletter(row: store.NewsletterRow, installation: Installation) -> Newsletter:
    missing = missing_settings(
        from_email=row.from_email,
        postal_address=row.postal_address,
        installation_has_sender=installation.sender is not None,
    )
    return Newsletter(is_ready=not missing, missing=missing, **msgspec.structs.asdict(row))
