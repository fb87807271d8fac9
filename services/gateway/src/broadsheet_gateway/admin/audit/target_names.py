"""What the entries of the audit log are about, by name. A service that does not answer leaves its targets numbers."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.audit.action_words import kind_words
from broadsheet_gateway.admin.issue.issue_overview import asked
from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, ask_newsletters, name_of
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.subscriber_names import SubscriberNames, ask_names, is_number
from broadsheet_gateway.admin.subscribers.asked import ask_issue_titles
from broadsheet_gateway.audit.entry import Entry

_ACCOUNTS: Final = frozenset({"user", "key"})


class TargetNames(msgspec.Struct, frozen=True, kw_only=True):
    """`accounts`: by `user:1` and `key:1`; `titles`: of issues, by id."""

    accounts: Mapping[str, str]
    people: SubscriberNames
    newsletters: tuple[NewsletterFacts, ...]
    titles: Mapping[int, str]

    def of(self, kind: str, target_id: str | None) -> str:
        """In a sentence."""
        words = kind_words(kind)
        if target_id is None:
            return words
        numbered = f"{words} {target_id}"
        if kind in _ACCOUNTS:
            known = self.accounts.get(f"{kind}:{target_id}", "")
            return numbered if known in {"", f"{kind}:{target_id}"} else known
        if not is_number(target_id):
            return numbered
        number = int(target_id)
        match kind:
            case "subscriber":
                person = self.people.of(number)
                if person is not None:
                    return person.email
                return f"erased {numbered}" if self.people.is_erased(number) else numbered
            case "newsletter":
                return self.newsletter(number)
            case "issue":
                return f"“{self.titles[number]}”" if self.titles.get(number) else numbered
            case _:
                return numbered

    def newsletter(self, newsletter_id: int) -> str:
        named = name_of(newsletter_id, self.newsletters)
        return f"newsletter {newsletter_id}" if named == name_of(newsletter_id, None) else named


async def ask_target_names(context: PageContext, entries: Collection[Entry]) -> TargetNames:
    """At most one call of a service for each kind of target."""
    targets = {(one.target_kind, one.target_id) for one in entries if one.target_id is not None}
    kinds = {kind for kind, _ in targets}
    people = [int(target_id) for kind, target_id in targets if kind == "subscriber" and is_number(target_id)]
    actors = {word for one in entries for word in (one.actor, one.person)}
    names_newsletters = "newsletter" in kinds or any(one.newsletter_id is not None for one in entries)
    accounts, named, newsletters, titles = await asyncio.gather(
        names_of(actors | {f"{kind}:{target_id}" for kind, target_id in targets if kind in _ACCOUNTS}, context.engine),
        ask_names(context.calls, context.session, people, newsletter_id=None),
        asked(lambda: ask_newsletters(context.calls, with_archived=True), wanted=names_newsletters),
        asked(lambda: ask_issue_titles(context.calls), wanted="issue" in kinds),
    )
    return TargetNames(
        accounts=accounts,
        people=named,
        newsletters=() if newsletters is UNSET or newsletters is None else newsletters,
        titles={} if titles is UNSET or titles is None else titles,
    )
