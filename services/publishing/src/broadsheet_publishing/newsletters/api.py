"""The JSON API on newsletters: `/api/v1/newsletters`."""

from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, newsletter_in_path, requires
from broadsheet_common.contracts.queue import request_stream_check
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    require_match,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
    replay_body,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.archive_newsletter import NewsletterInUseError, archive_newsletter
from broadsheet_publishing.newsletters.check_stream import StreamChecker
from broadsheet_publishing.newsletters.create_newsletter import SlugTakenError, create_newsletter
from broadsheet_publishing.newsletters.edit_newsletter import edit_newsletter
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.newsletter import parse_settings
from broadsheet_publishing.newsletters.show_newsletter import (
    Direction,
    Newsletter,
    UnsubscribeHandling,
    lasting,
    show_newsletter,
    show_newsletters,
    tag_of,
)
from broadsheet_publishing.newsletters.stream_check import StreamCheck, require_fit
from broadsheet_publishing.tables import idempotency_key
from broadsheet_publishing.welcome.compile_welcome import prepare_welcome
from broadsheet_publishing.welcome.interface import find_welcomes
from broadsheet_publishing.welcome.save_welcome import save_welcome
from broadsheet_publishing.welcome.welcome_mail import (
    CONTENT_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    PreparedWelcome,
    WelcomeSource,
)

_log = structlog.get_logger()

_RAW_CHARS_MAX = 10_000
"""Longer texts are refused before they are looked at."""
Text = Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)]
Origins = Annotated[list[str], msgspec.Meta(max_length=100)]
WithArchived = Annotated[bool, QueryParameter(name="archived", description="Archived newsletters too")]


class WelcomeMailInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The welcome mail; a field that is left out stays unchanged. What cannot be made into a mail can be stored, but
    not enabled. Merge fields of an issue, and `web_url`, are faults.
    """

    enabled: bool | UnsetType = UNSET
    subject: Annotated[str, msgspec.Meta(max_length=SUBJECT_CHARS_MAX)] | UnsetType = UNSET
    content: Annotated[str, msgspec.Meta(max_length=CONTENT_CHARS_MAX)] | UnsetType = UNSET


class ReaderTextsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The newsletter's own words for readers, each plain text; one that is left out stays unchanged, and an empty one
    gives our own words back. Those of the mail that asks to confirm hold no web address: its one link is its own.
    """

    check_inbox_heading: Text | UnsetType = UNSET
    check_inbox_text: Text | UnsetType = UNSET
    confirmation_mail_subject: Text | UnsetType = UNSET
    confirmation_mail_heading: Text | UnsetType = UNSET
    confirmation_mail_text: Text | UnsetType = UNSET
    confirmation_mail_button: Text | UnsetType = UNSET
    confirm_heading: Text | UnsetType = UNSET
    confirm_text: Text | UnsetType = UNSET
    confirm_button: Text | UnsetType = UNSET
    confirmed_heading: Text | UnsetType = UNSET
    confirmed_text: Text | UnsetType = UNSET
    already_subscribed_mail_subject: Text | UnsetType = UNSET
    already_subscribed_mail_heading: Text | UnsetType = UNSET
    already_subscribed_mail_text: Text | UnsetType = UNSET
    unsubscribe_heading: Text | UnsetType = UNSET
    unsubscribe_text: Text | UnsetType = UNSET
    unsubscribed_heading: Text | UnsetType = UNSET
    unsubscribed_text: Text | UnsetType = UNSET
    archive_heading: Text | UnsetType = UNSET
    promise_1_heading: Text | UnsetType = UNSET
    promise_1_text: Text | UnsetType = UNSET
    promise_2_heading: Text | UnsetType = UNSET
    promise_2_text: Text | UnsetType = UNSET
    promise_3_heading: Text | UnsetType = UNSET
    promise_3_text: Text | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not UNSET}


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
    texts: ReaderTextsInput | UnsetType = UNSET
    allowed_origins: Origins | UnsetType = UNSET
    is_listed: bool | UnsetType = UNSET
    has_archive: bool | UnsetType = UNSET
    archive_is_hidden: bool | UnsetType = UNSET
    track_opens: bool | UnsetType = UNSET
    track_links: bool | UnsetType = UNSET
    requires_approval: bool | UnsetType = UNSET
    welcome_mail: WelcomeMailInput | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        """The columns that were sent."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "welcome_mail"}
        given = {name: value for name, value in fields.items() if value is not UNSET}
        return given if isinstance(self.texts, UnsetType) else given | {"texts": self.texts.given()}


class NewsletterInput(NewsletterPatch, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new newsletter. Only the name is needed; without a slug, the name gives it. It has an archive unless
    `has_archive` is false.
    """

    name: Text
    has_archive: bool = True


class NewsletterController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Newsletters",)
    request_class = JsonRequest

    @get(
        operation_id="listNewsletters",
        guards=[requires("newsletters:read", newsletter=NARROWED_BY_HANDLER)],
        summary="List newsletters",
        responses=documents(),
    )
    async def list_newsletters(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        with_archived: WithArchived = False,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Newsletter]:
        async with engine.connect() as connection:
            rows = await store.list_newsletters(
                connection,
                after_id=decode_cursor(cursor) or 0,
                limit=limit + 1,
                with_archived=with_archived,
                only=request.user.newsletters_with("newsletters:read"),
            )
            shown = await show_newsletters(connection, rows[:limit], installation)
        return Page(shown, _next_cursor(rows, limit))

    @post(
        operation_id="createNewsletter",
        summary="Create a newsletter",
        guards=[requires("newsletters:write"), json_only],
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
        compiler: NamedDependency[Compiler],
        stream_checker: NamedDependency[StreamChecker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Newsletter]:
        """It takes sign-ups at once. Publishing needs a sender and a postal address; `missing` names what lacks.

        Postmark is asked about its stream: one that is known not to fit is refused.
        """
        values = parse_settings(data.given())
        prepared = await _prepare_welcome(engine, compiler, data, values, row=None, before=None)
        check = await _check_stream(stream_checker, values, row=None)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Newsletter, tag_of=tag_of)
            require_fit(check)
            row = await create_newsletter(connection, values, by=request.user)
            newsletter = await _saved(connection, row, installation, prepared, values)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=newsletter)
        _log.info("publishing.newsletter_created", newsletter_id=newsletter.id)
        return _tagged(newsletter, status_code=201)

    @get(
        "/{newsletter_id:int}",
        operation_id="getNewsletter",
        guards=[requires("newsletters:read", newsletter=newsletter_in_path)],
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
            return _tagged(await show_newsletter(connection, row, installation))

    @patch(
        "/{newsletter_id:int}",
        operation_id="changeNewsletter",
        summary="Change the settings of a newsletter",
        guards=[requires("newsletters:write", newsletter=newsletter_in_path), json_only],
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
        request: ServiceRequest,
        newsletter_id: PathId,
        data: JSONBody[NewsletterPatch],
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        compiler: NamedDependency[Compiler],
        stream_checker: NamedDependency[StreamChecker],
        if_match: IfMatchHeader = None,
    ) -> Response[Newsletter]:
        """It takes effect for the public forms within NEWSLETTER_CACHE_S, for mails with the next one sent.

        When its stream or its handling of unsubscribes is changed, Postmark is asked: one that is known not to fit is
        refused.
        """
        values = parse_settings(data.given())

        async def represent(found: store.NewsletterRow) -> Newsletter:
            return lasting(await show_newsletter(connection, found, installation))

        async with engine.connect() as connection:
            before = await store.find_newsletter(connection, newsletter_id)
            if before is None:
                raise NotFoundError("There is no such newsletter.")
            require_match(if_match, await represent(before))
            welcome = (await find_welcomes(connection, [newsletter_id])).get(newsletter_id)
        prepared = await _prepare_welcome(
            engine, compiler, data, values, row=before, before=None if welcome is None else welcome.source
        )
        require_fit(await _check_stream(stream_checker, values, row=before))
        async with engine.begin() as connection:
            row = await edit_newsletter(
                connection,
                newsletter_id,
                values,
                if_match=if_match,
                represent=represent,
                by=request.user,
                welcome=_welcome_changes(prepared),
            )
            newsletter = await _saved(connection, row, installation, prepared, values)
        _log.info("publishing.newsletter_changed", newsletter_id=row.id)
        return _tagged(newsletter)

    @post(
        "/{newsletter_id:int}/archive",
        operation_id="archiveNewsletter",
        summary="Archive a newsletter: no more sign-ups, no more issues",
        status_code=200,
        guards=[requires("newsletters:write", newsletter=newsletter_in_path)],
        responses=documents(NotFoundError, NewsletterInUseError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def archive_newsletter(
        self,
        request: ServiceRequest,
        newsletter_id: PathId,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Newsletter]:
        """What was sent stays, and readers can still unsubscribe. Archiving an archived one changes nothing."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return _tagged(replay_body(answer, Newsletter))
            row = await archive_newsletter(connection, newsletter_id, is_archived=True, by=request.user)
            newsletter = await show_newsletter(connection, row, installation)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=newsletter)
        _log.info("publishing.newsletter_archived", newsletter_id=row.id)
        return _tagged(newsletter)

    @post(
        "/{newsletter_id:int}/unarchive",
        operation_id="unarchiveNewsletter",
        summary="Use an archived newsletter again",
        status_code=200,
        guards=[requires("newsletters:write", newsletter=newsletter_in_path)],
        responses=documents(NotFoundError, NewsletterInUseError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def unarchive_newsletter(
        self,
        request: ServiceRequest,
        newsletter_id: PathId,
        engine: NamedDependency[AsyncEngine],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Newsletter]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return _tagged(replay_body(answer, Newsletter))
            row = await archive_newsletter(connection, newsletter_id, is_archived=False, by=request.user)
            newsletter = await show_newsletter(connection, row, installation)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=newsletter)
        _log.info("publishing.newsletter_unarchived", newsletter_id=row.id)
        return _tagged(newsletter)


def _next_cursor(rows: list[store.NewsletterRow], limit: int) -> str | None:
    """`rows` were read with one more than the page takes, to see whether there is a next page."""
    return encode_cursor(rows[limit - 1].id) if len(rows) > limit else None


def _tagged(newsletter: Newsletter, *, status_code: int = 200) -> Response[Newsletter]:
    return Response(newsletter, headers={"ETag": tag_of(newsletter)}, status_code=status_code)


async def _prepare_welcome(
    engine: AsyncEngine,
    compiler: Compiler,
    data: NewsletterPatch,
    values: dict[str, object],
    *,
    row: store.NewsletterRow | None,
    before: WelcomeSource | None,
) -> PreparedWelcome | None:
    """None: nothing of the welcome mail was sent. `row` None: a new newsletter."""
    sent = data.welcome_mail
    if isinstance(sent, UnsetType):
        return None
    was = before or WelcomeSource()
    source = WelcomeSource(
        is_enabled=was.is_enabled if sent.enabled is UNSET else sent.enabled,
        subject=was.subject if sent.subject is UNSET else sent.subject,
        content=was.content if sent.content is UNSET else sent.content,
    )
    newsletter = ({} if row is None else msgspec.structs.asdict(row)) | values
    return await prepare_welcome(engine, compiler, source, newsletter, before=before)


def _welcome_changes(prepared: PreparedWelcome | None) -> dict[str, tuple[object, object]]:
    """Each part before and after, for the audit log."""
    if prepared is None:
        return {}
    old, new = prepared.before or WelcomeSource(), prepared.given.source
    return {f"welcome_{name}": (getattr(old, name), getattr(new, name)) for name in WelcomeSource.__struct_fields__}


async def _check_stream(
    checker: StreamChecker, values: dict[str, object], *, row: store.NewsletterRow | None
) -> StreamCheck | None:
    """None: the stream and its handling stay as they are, or as in every new newsletter."""
    was = {
        "message_stream": row.message_stream if row is not None else "broadcast",
        "unsubscribe_handling": row.unsubscribe_handling if row is not None else "custom",
    }
    wanted = {name: str(values.get(name, value)) for name, value in was.items()}
    if row is not None and wanted == was:
        return None
    if row is None and not was.keys() & values.keys():
        return None
    return await checker.check(wanted["message_stream"], wanted["unsubscribe_handling"])


async def _saved(
    connection: AsyncConnection,
    row: store.NewsletterRow,
    installation: Installation,
    prepared: PreparedWelcome | None,
    values: dict[str, object],
) -> Newsletter:
    """In the transaction that has written `row`: its welcome mail, and all of it as it is shown."""
    if prepared is not None:
        await save_welcome(connection, row.id, msgspec.structs.asdict(row), prepared)
    newsletter = await show_newsletter(connection, row, installation)
    if newsletter.stream_check.state != "ok":
        await request_stream_check(connection, stream=row.message_stream, handling=row.unsubscribe_handling)
    touched = prepared is not None or not {"from_email", "postal_address"}.isdisjoint(values)
    if touched and newsletter.welcome_mail.enabled and newsletter.missing:
        detail = f"It needs the newsletter's {' and '.join(newsletter.missing)}. Set that, or switch it off."
        raise InvalidInputError(errors=(FieldProblem(pointer="/welcome_mail/enabled", detail=detail),))
    return newsletter
