"""What the editor needs of a draft: the draft itself, its newsletter, and what can be chosen for it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.editor.draft import Draft, TypedDraft, typed_of
from broadsheet_gateway.admin.editor.views import Choice, EditorPage, Saved
from broadsheet_gateway.admin.newsletter_facts import ask_newsletter
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.admin.subscriber_names import ask_samples, may_read_subscribers
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer
from broadsheet_gateway.pages import FlashCode

CHOICES_MAX: Final = 200
_A_MOMENT: Final = timedelta(minutes=5)
"""Whoever saved so lately may still be writing."""


class _Named(msgspec.Struct, frozen=True):
    id: int
    name: str


class _Attribute(msgspec.Struct, frozen=True):
    name: str
    label: str = ""


async def ask_draft(calls: ServiceCalls, issue_id: int) -> TaggedAnswer[Draft]:
    """An issue in any status. Raises as `ServiceCalls.get_tagged`."""
    return await calls.get_tagged("publishing", f"/api/v1/issues/{issue_id}", Draft)


async def show_editor(
    calls: ServiceCalls,
    session: Session,
    engine: AsyncEngine,
    found: TaggedAnswer[Draft],
    *,
    typed: TypedDraft | None = None,
    flashes: tuple[FlashCode, ...] = (),
) -> EditorPage:
    """The page of a draft; `typed`: what the form holds instead of what is saved. Lists that are not to be had are
    None: what is chosen stays chosen.
    """
    draft = found.value
    may = session.rights.anywhere
    newsletter, layouts, segments, names, samples, attributes = await asyncio.gather(
        or_none(ask_newsletter(calls, draft.newsletter_id)),
        or_none(_ask_choices(calls, "publishing", "/api/v1/layouts")),
        or_none(_ask_choices(calls, "subscriptions", "/api/v1/segments")),
        names_of([draft.saved_by], engine),
        ask_samples(calls, session, draft.newsletter_id),
        or_none(_ask_attributes(calls)) if "attributes:read" in may else _no_attributes(),
    )
    held = typed or typed_of(draft)
    return EditorPage(
        signed_in=session.signed_in,
        flashes=flashes,
        issue_id=draft.id,
        etag=found.etag,
        status=draft.status,
        newsletter=newsletter,
        typed=held,
        saved=Saved(
            version=draft.version,
            at=draft.updated_at,
            by=names.get(draft.saved_by, draft.saved_by),
            by_oneself=draft.saved_by == session.identity.subject,
        ),
        layouts=_with_chosen(layouts, held.layout_id, "Layout"),
        segments=_with_chosen(segments, held.segment_id, "Segment"),
        faults=draft.faults if typed is None else (),
        may_preview="issues:preview" in may,
        may_choose_reader=may_read_subscribers(session, draft.newsletter_id),
        samples=samples,
        attributes=attributes or (),
        others_write_now=typed is None and _is_others_last_moment(draft, session),
    )


def _with_chosen(choices: tuple[Choice, ...] | None, chosen: str, name: str) -> tuple[Choice, ...] | None:
    """With what is chosen, where the list has no room for it: a form must be able to send it back."""
    if choices is None or not chosen or any(one.value == chosen for one in choices):
        return choices
    return (*choices, Choice(chosen, f"{name} {chosen}"))


def _is_others_last_moment(draft: Draft, session: Session) -> bool:
    if draft.version == 1 or draft.saved_by == session.identity.subject:
        return False
    return datetime.now(UTC) - draft.updated_at < _A_MOMENT


async def _ask_attributes(calls: ServiceCalls) -> tuple[Choice, ...]:
    page = await calls.get("subscriptions", "/api/v1/attributes", Page[_Attribute])
    return tuple(Choice(one.name, one.label or one.name) for one in page.items)


async def _no_attributes() -> tuple[Choice, ...]:
    return ()


async def _ask_choices(calls: ServiceCalls, service: str, path: str) -> tuple[Choice, ...]:
    page = await calls.get(service, path, Page[_Named], {"limit": CHOICES_MAX})  # type: ignore[arg-type] # a ServiceName
    return tuple(Choice(str(one.id), one.name) for one in page.items)
