"""The JSON API on the consent record: one subscriber's entries, or all of them for an export."""

from datetime import datetime

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.consent_wording import WORDINGS
from broadsheet_common.contracts.identity import requires
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents
from broadsheet_subscriptions.consent import store
from broadsheet_subscriptions.consent.evidence import ConsentKind, ConsentSource, SignUpMail
from broadsheet_subscriptions.subscribers.interface import find_subscriber


class Wording(msgspec.Struct, frozen=True):
    """The wording shown at the form. Its text is null if a newer release of this service recorded it."""

    version: int
    text: str | None


class ConsentEvent(msgspec.Struct, frozen=True):
    """One entry of the record. An entry with action `requested` has the state of its confirmation mail in `mail`;
    `mail_sent` is the time when Postmark accepted it.

    `ip`, `user_agent` and `form_url` are null if they were unknown or invalid.
    """

    id: int
    subscriber_id: int
    newsletter_id: int
    kind: ConsentKind
    occurred_at: datetime
    source: ConsentSource
    actor: str | None
    ip: str | None
    user_agent: str | None
    form_url: str | None
    wording: Wording | None
    mail: SignUpMail | None
    reason: str | None


class ConsentController(Controller):
    path = "/api/v1"
    tags = ("Subscribers",)

    @get(
        "/subscribers/{subscriber_id:int}/consent",
        operation_id="listConsentOfSubscriber",
        guards=[requires("consents:read")],
        summary="List what a subscriber agreed to, oldest first",
        responses=documents(NotFoundError),
    )
    async def list_of_subscriber(
        self,
        engine: NamedDependency[AsyncEngine],
        subscriber_id: PathId,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[ConsentEvent]:
        async with engine.connect() as connection:
            if await find_subscriber(connection, subscriber_id) is None:
                raise NotFoundError("There is no such subscriber.")
            rows = await store.list_events(
                connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1, subscriber_id=subscriber_id
            )
        return _page(rows, limit)

    @get(
        "/consents",
        operation_id="listConsents",
        guards=[requires("consents:read")],
        summary="List the consent record of all subscribers, oldest first",
        responses=documents(),
    )
    async def list_of_all(
        self, engine: NamedDependency[AsyncEngine], limit: PageLimit = PAGE_SIZE_DEFAULT, cursor: PageCursor = None
    ) -> Page[ConsentEvent]:
        """All entries, a page at a time. Entries of erased subscribers are not included."""
        async with engine.connect() as connection:
            rows = await store.list_events(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
        return _page(rows, limit)


def _page(rows: list[store.ConsentRow], limit: int) -> Page[ConsentEvent]:
    """Expects `rows` with one row more than the page holds, which shows that there is a next page."""
    return Page([_event(row) for row in rows[:limit]], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def _event(row: store.ConsentRow) -> ConsentEvent:
    fields = msgspec.structs.asdict(row)
    version = fields.pop("wording_version")
    wording = None if version is None else Wording(version, WORDINGS.get(version))
    return ConsentEvent(wording=wording, **fields)
