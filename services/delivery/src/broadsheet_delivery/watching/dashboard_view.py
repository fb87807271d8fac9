"""What a caller's rights let see of the dashboard; pure."""

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

import msgspec

from broadsheet_delivery.watching.event_data import DashboardEvent

SHOWN_MAX: Final = 50
"""Entries of each list."""


class _OfANewsletter(Protocol):
    @property
    def newsletter_id(self) -> int: ...


ItemT = TypeVar("ItemT", bound=_OfANewsletter)

Newsletters = frozenset[int] | None
"""None: all of them, now and later."""


class DashboardView(msgspec.Struct, frozen=True, kw_only=True):
    """For which newsletters each part is seen, an empty set for none. Callers with the same rights share a view."""

    issues: Newsletters
    deliveries: Newsletters
    imports: Newsletters
    webhooks: bool
    senders: bool

    def of(self, all_of_it: DashboardEvent) -> DashboardEvent:
        """The event with what this view may see. A part that it may not see at all is null."""
        issues = _seen(all_of_it.issues, self.issues)
        return DashboardEvent(
            sending=all_of_it.sending if self.senders else None,
            issues_in_progress=all_of_it.issues_in_progress if self.issues is None else len(issues),
            issues=issues[:SHOWN_MAX],
            uncertain=_part(all_of_it.uncertain, self.deliveries),
            failing_webhooks=(all_of_it.failing_webhooks or [])[:SHOWN_MAX] if self.webhooks else None,
            imports_with_rejects=_part(all_of_it.imports_with_rejects, self.imports),
        )


def _part(items: list[ItemT] | None, newsletters: Newsletters) -> list[ItemT] | None:
    """Some of a list, or null without any right to it."""
    return None if newsletters is not None and not newsletters else _seen(items or [], newsletters)[:SHOWN_MAX]


def _seen(items: Iterable[ItemT], newsletters: Newsletters) -> list[ItemT]:
    return [item for item in items if newsletters is None or item.newsletter_id in newsletters]
