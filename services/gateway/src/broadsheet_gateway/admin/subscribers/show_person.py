"""One person's page, from what every service knows of them. A part that does not answer is named; the rest is shown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import msgspec

from broadsheet_common.contracts.permissions import Permission
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.form_keys import new_form_key
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters, name_of
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import or_none
from broadsheet_gateway.admin.subscribers.asked import (
    Attribute,
    AttributeValue,
    Subscriber,
    ask_attributes,
    ask_consents,
    ask_issue_titles,
    ask_mails,
    ask_subscriber,
    ask_suppressions,
)
from broadsheet_gateway.admin.subscribers.notes_form import as_text
from broadsheet_gateway.admin.subscribers.story import suppression_words, tell_story
from broadsheet_gateway.admin.subscribers.views import Fact, SubscriberPage, SubscriptionRow
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.times import stored_date

T = TypeVar("T")

_PARTS: Final[tuple[tuple[Permission, str], ...]] = (
    ("consents:read", "what they agreed to"),
    ("deliveries:read", "what was mailed to them"),
    ("suppressions:read", "whether the address is suppressed, and since when"),
)


async def show_person(
    context: PageContext, subscriber_id: int, *, mails: str | None, flashes: tuple[FlashCode, ...] = ()
) -> SubscriberPage:
    """`mails`: the cursor of a later page of mails. Raises `NotFoundError`."""
    calls, session = context.calls, context.session
    person = (await ask_subscriber(calls, subscriber_id)).value
    everywhere = session.rights.everywhere
    consents, sent, suppressions, names, attributes, titles = await asyncio.gather(
        _if("consents:read" in everywhere, lambda: ask_consents(calls, subscriber_id)),
        _if("deliveries:read" in everywhere, lambda: ask_mails(calls, subscriber_id, cursor=mails)),
        _if("suppressions:read" in everywhere, lambda: ask_suppressions(calls, person.email)),
        or_none(ask_newsletters(calls, with_archived=True)),
        _if("attributes:read" in everywhere, lambda: ask_attributes(calls)),
        _if("issues:read" in session.rights.anywhere, lambda: ask_issue_titles(calls)),
    )
    answered = (consents is not None, sent is not None, suppressions is not None)
    may = [permission in everywhere for permission, _ in _PARTS]
    story = tell_story(
        person,
        newsletters=names,
        consents=() if consents is None else consents.items,
        mails=() if sent is None else sent.items,
        suppressions=() if suppressions is None else suppressions.items,
        issues=titles,
        actors=await names_of(
            [one.actor for one in consents.items if one.actor] if consents is not None else [], context.engine
        ),
    )
    return SubscriberPage(
        signed_in=session.signed_in,
        flashes=flashes,
        subscriber_id=person.id,
        email=person.email,
        name=person.name,
        created_at=person.created_at,
        flags=tuple(_flag_words(flag) for flag in person.flags),
        tags=person.tags,
        attributes=_facts(person, attributes),
        subscriptions=tuple(
            msgspec.structs.replace(row, may_be_asked_again=row.state == "pending" and _may_write(session, row))
            for row in subscription_rows(person, names)
        ),
        idempotency_key=new_form_key(),
        story=story,
        silent=tuple(words for (_, words), held, came in zip(_PARTS, may, answered, strict=True) if held and not came),
        hidden=tuple(words for (_, words), held in zip(_PARTS, may, strict=True) if not held),
        has_more_consents=consents is not None and consents.next_cursor is not None,
        earlier_mails=None if sent is None else sent.next_cursor,
        is_latest=not mails,
    )


def subscription_rows(person: Subscriber, names: tuple[NewsletterFacts, ...] | None) -> tuple[SubscriptionRow, ...]:
    return tuple(
        SubscriptionRow(
            newsletter_id=one.newsletter_id,
            newsletter=name_of(one.newsletter_id, names),
            state=one.state,
            created_at=one.created_at,
            confirmed_at=one.confirmed_at,
            unsubscribed_at=one.unsubscribed_at,
            import_id=one.import_id,
            stopped="" if one.suppressed is None else suppression_words(one.suppressed.kind),
            asked_at=one.confirmation_queued_at if one.state == "pending" else None,
        )
        for one in person.subscriptions
    )


def _may_write(session: Session, row: SubscriptionRow) -> bool:
    rights = session.rights
    wanted: Permission = "subscribers:write"
    return wanted in rights.everywhere or (row.newsletter_id, wanted) in rights.limited


async def _if(may: bool, ask: Callable[[], Awaitable[T]]) -> T | None:
    return await or_none(ask()) if may else None


def _facts(person: Subscriber, attributes: tuple[Attribute, ...] | None) -> tuple[Fact, ...]:
    labels: Mapping[str, str] = {one.name: one.label for one in attributes or ()}
    dates = {one.name for one in attributes or () if one.type == "date"}
    return tuple(
        Fact(labels.get(name, name), _value_text(value, is_date=name in dates))
        for name, value in sorted(person.attributes.items())
    )


def _value_text(value: AttributeValue, *, is_date: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return stored_date(as_text(value)) if is_date else as_text(value)


def _flag_words(flag: str) -> str:
    return {"role": "Address of an office, not of a person", "disposable": "A disposable address"}.get(flag, flag)
