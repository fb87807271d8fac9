"""One person's story: what is known of them from several services, in one order of time. Pure."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from broadsheet_gateway.admin.newsletter_facts import NewsletterFacts, name_of
from broadsheet_gateway.admin.subscribers.asked import Consent, Mail, MailEvent, Subscriber, Suppression
from broadsheet_gateway.admin.subscribers.views import Fact, Happening, Tone

_SAME_TIME: Final = timedelta(seconds=5)
"""A confirmation is written to the subscription and to the consent record in one transaction, by two clocks' reads."""
_SOURCES: Final = {
    "form": "by the sign-up form",
    "api": "by a user or the API",
    "link": "by the link in the mail",
    "import": "by an import",
    "system": "by the system",
}
_MAIL_WORDS: Final[Mapping[str, tuple[str, Tone]]] = {
    "pending": ("is queued", "plain"),
    "in_flight": ("is being handed to the mail provider", "plain"),
    "accepted": ("was taken by the mail provider", "plain"),
    "failed": ("was refused for good", "bad"),
    "suppressed": ("was not sent: the address is suppressed", "note"),
    "excluded": ("was not sent", "note"),
    "uncertain": ("may have gone out: the answer was lost", "note"),
    "cancelled": ("was not sent: the issue was cancelled", "note"),
}
_SUPPRESSION_WORDS: Final = {
    "inactive": "the mail provider has blocked it",
    "manual": "blocked by hand",
    "hard_bounce": "mail to it bounced",
    "soft_bounces": "mail to it bounced again and again",
    "unsubscribe": "they left by a link of the mail provider",
    "complaint": "they marked a mail as spam",
}


def tell_story(
    person: Subscriber,
    *,
    newsletters: Collection[NewsletterFacts] | None,
    consents: Iterable[Consent] = (),
    mails: Iterable[Mail] = (),
    suppressions: Iterable[Suppression] = (),
    issues: Mapping[int, str] | None = None,
    actors: Mapping[str, str] | None = None,
) -> tuple[Happening, ...]:
    """The newest first. Mails that have not settled come first of all. `actors`: who did something, by name."""
    recorded = [_of_consent(one, newsletters, actors or {}) for one in consents]
    told = [happening for happening, _ in recorded]
    confirmed = [(consent.newsletter_id, consent.occurred_at) for _, consent in recorded if consent.kind == "confirmed"]
    told += _of_subscriptions(person, newsletters, confirmed)
    for mail in mails:
        told += _of_mail(mail, issues or {})
    for one in suppressions:
        told += _of_suppression(one)
    # After what happened at the same moment.
    told.append(Happening(at=person.created_at, text="First seen here"))
    later = datetime.max.replace(tzinfo=person.created_at.tzinfo)
    return tuple(sorted(told, key=lambda one: one.at or later, reverse=True))


def suppression_words(kind: str) -> str:
    return _SUPPRESSION_WORDS.get(kind, kind)


def _of_consent(
    one: Consent, newsletters: Collection[NewsletterFacts] | None, actors: Mapping[str, str]
) -> tuple[Happening, Consent]:
    name = name_of(one.newsletter_id, newsletters)
    tone: Tone = "plain"
    text = ""
    match one.kind:
        case "requested":
            text = f"Asked for {name}, {_SOURCES[one.source]}"
        case "mail_sent":
            text = f"The mail that asks to confirm {name} went out"
            if one.mail == "already_subscribed":
                text = f"A mail told them that they have {name} already"
        case "mail_not_sent":
            text, tone = f"The mail that asks to confirm {name} did not go out", "bad"
        case "confirmed":
            text, tone = f"Confirmed {name}, {_SOURCES[one.source]}", "good"
    facts = [
        Fact("Done by", actors.get(one.actor, one.actor) if one.actor else ""),
        Fact("From", one.ip or ""),
        Fact("With", one.user_agent or ""),
        Fact("On the page", one.form_url or ""),
        Fact("Wording", _wording(one)),
    ]
    return Happening(
        at=one.occurred_at,
        text=text,
        detail=one.reason or "",
        tone=tone,
        facts=tuple(fact for fact in facts if fact.value),
    ), one


def _wording(one: Consent) -> str:
    if one.wording is None:
        return ""
    return one.wording.text or f"Version {one.wording.version}"


def _of_subscriptions(
    person: Subscriber,
    newsletters: Collection[NewsletterFacts] | None,
    confirmed: Collection[tuple[int, datetime]],
) -> Iterable[Happening]:
    for one in person.subscriptions:
        name = name_of(one.newsletter_id, newsletters)
        if one.confirmed_at is not None and not any(
            newsletter_id == one.newsletter_id and abs(at - one.confirmed_at) <= _SAME_TIME
            for newsletter_id, at in confirmed
        ):
            by = f", by import {one.import_id}" if one.import_id is not None else ""
            yield Happening(at=one.confirmed_at, text=f"Confirmed {name}{by}", tone="good")
        if one.unsubscribed_at is not None:
            yield Happening(at=one.unsubscribed_at, text=f"Left {name}", tone="note")


def _of_mail(mail: Mail, issues: Mapping[int, str]) -> Iterable[Happening]:
    title = issues.get(mail.issue_id, f"Issue {mail.issue_id}")
    words, tone = _MAIL_WORDS[mail.status]
    detail = mail.reason or ""
    if mail.events is None and mail.status == "accepted":
        detail = "What was reported of it is not kept any more, or could not be loaded."
    yield Happening(
        at=mail.settled_at or mail.queued_at,
        text=f"“{title}” {words}",
        detail=detail,
        tone=tone,
        issue_id=mail.issue_id,
    )
    for event in mail.events or ():
        yield _of_event(event, title)


def _of_event(event: MailEvent, title: str) -> Happening:
    detail = event.detail
    by_program = " (probably by a program)" if detail.get("machine") else ""
    tone: Tone = "plain"
    match event.record_type:
        case "Delivery":
            text, said, tone = f"“{title}” arrived", "", "good"
        case "Open":
            text, said = f"Opened “{title}”{by_program}", _text(detail, "platform")
        case "Click":
            text, said = f"Followed a link of “{title}”{by_program}", _text(detail, "link")
        case "Bounce":
            text, said, tone = f"“{title}” bounced", _text(detail, "type", "description"), "bad"
        case "SpamComplaint":
            text, said, tone = f"Marked “{title}” as spam", "", "bad"
        case "SubscriptionChange":
            stopped = detail.get("suppress_sending") is not False
            text = "The mail provider stopped sending to them" if stopped else "The mail provider sends to them again"
            said, tone = _text(detail, "reason", "origin"), "note"
        case kind:
            text, said = f"The mail provider reported {kind} for “{title}”", ""
    return Happening(at=event.occurred_at, text=text, detail=said, tone=tone)


def _text(detail: Mapping[str, Any], *names: str) -> str:
    return ": ".join(str(detail[name]) for name in names if isinstance(detail.get(name), str))


def _of_suppression(one: Suppression) -> Iterable[Happening]:
    where = "every stream" if one.stream is None else f"the stream {one.stream}"
    yield Happening(
        at=one.created_at,
        text=f"The address was suppressed on {where}: {suppression_words(one.kind)}",
        detail=one.reason,
        tone="bad",
    )
    if not one.active:
        yield Happening(at=one.changed_at, text=f"The suppression on {where} was lifted", tone="good")
