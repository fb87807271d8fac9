"""Subscribers by their addresses, on pages that have only their numbers, and from what somebody typed.

One bounded call looks many of them up. A page stands without it: people are numbers then, and it says why.
"""

import asyncio
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.service_calls import Query, ServiceCalls, or_none

LOOKED_UP_MAX: Final = 100
"""Ids that one call may name; further people of a page stay numbers."""
FOUND_MAX: Final = 50
SAMPLES: Final = 5
ADDRESS_CHARS_MAX: Final = 320
NAME_CHARS_MAX: Final = 64
_ID_DIGITS_MAX: Final = 18
_PATH: Final = "/api/v1/subscribers"


class NamedSubscriber(msgspec.Struct, frozen=True):
    id: int
    email: str
    name: str = ""


class SubscriberNames(msgspec.Struct, frozen=True, kw_only=True):
    """The people of a page, by their ids. `hidden`: the user may not see addresses; `silent`: they cannot be read now.
    `asked`: whoever of them is not `found` was erased.
    """

    state: Literal["known", "hidden", "silent"] = "hidden"
    found: Mapping[int, NamedSubscriber] = MappingProxyType({})
    asked: frozenset[int] = frozenset()

    @classmethod
    def of_found(cls, people: Iterable[NamedSubscriber]) -> "SubscriberNames":
        found = {one.id: one for one in people}
        return cls(state="known", found=found, asked=frozenset(found))

    def of(self, subscriber_id: int) -> NamedSubscriber | None:
        return self.found.get(subscriber_id)

    def is_erased(self, subscriber_id: int) -> bool:
        return self.state == "known" and subscriber_id in self.asked and subscriber_id not in self.found


def may_read_subscribers(session: Session, newsletter_id: int | None) -> bool:
    """Those of this newsletter; None: whoever it is."""
    rights = session.rights
    return "subscribers:read" in rights.everywhere or (newsletter_id, "subscribers:read") in rights.limited


async def ask_names(
    calls: ServiceCalls, session: Session, subscriber_ids: Iterable[int], *, newsletter_id: int | None
) -> SubscriberNames:
    """`newsletter_id`: which all of them have, or had; None: not known."""
    if not may_read_subscribers(session, newsletter_id):
        return SubscriberNames()
    # Who may read those of some newsletters must name one. For others, whoever is not found is not there at all.
    of = None if "subscribers:read" in session.rights.everywhere else newsletter_id
    wanted = sorted(set(subscriber_ids))[:LOOKED_UP_MAX]
    if not wanted:
        return SubscriberNames(state="known")
    found = await or_none(_ask(calls, {"id": wanted, "limit": LOOKED_UP_MAX, "newsletter_id": of}))
    if found is None:
        return SubscriberNames(state="silent")
    return SubscriberNames(state="known", found={one.id: one for one in found}, asked=frozenset(wanted))


async def find_subscribers(
    calls: ServiceCalls, newsletter_id: int, text: str, *, limit: int = FOUND_MAX
) -> tuple[NamedSubscriber, ...]:
    """Whom on this newsletter a typed number, an address or the beginning of an address or a name means; `limit` of
    them at most. An address that is somebody's whole one means them alone. Raises as `ServiceCalls.get`.
    """
    typed = text.strip()
    if not typed:
        return ()
    if is_number(typed):
        return await _ask(calls, {"id": [int(typed)], "newsletter_id": newsletter_id}) if int(typed) > 0 else ()
    by_address: Query = {"email_prefix": typed[:ADDRESS_CHARS_MAX], "newsletter_id": newsletter_id, "limit": limit}
    if "@" in typed:
        found = await _ask(calls, by_address)
        exact = tuple(one for one in found if one.email.lower() == typed.lower())
        return exact or found
    by_name: Query = {"name_prefix": typed[:NAME_CHARS_MAX], "newsletter_id": newsletter_id, "limit": limit}
    addressed, named = await asyncio.gather(_ask(calls, by_address), _ask(calls, by_name))
    return tuple({one.id: one for one in (*addressed, *named)}.values())[:limit]


async def ask_samples(calls: ServiceCalls, session: Session, newsletter_id: int) -> tuple[NamedSubscriber, ...]:
    """Some people who get the newsletter, to be offered: the newest. None while they cannot be read, or may not be."""
    if not may_read_subscribers(session, newsletter_id):
        return ()
    query: Query = {"newsletter_id": newsletter_id, "state": "confirmed", "limit": SAMPLES}
    return await or_none(_ask(calls, query)) or ()


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX


async def _ask(calls: ServiceCalls, query: Query) -> tuple[NamedSubscriber, ...]:
    return tuple((await calls.get("subscriptions", _PATH, Page[NamedSubscriber], query)).items)
