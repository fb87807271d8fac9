"""For each operation, a request that succeeds, and what may well succeed by the name of a field."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .served import AUTHOR, CONTENT, EDITOR, LAYOUT, SCHEDULED_FOR, World

_ANY: Final = {"If-Match": "*"}


class Good(msgspec.Struct, frozen=True):
    """`path` and `query` by the names of their parameters. `body` None: it has none."""

    path: Mapping[str, Any] = {}
    query: Mapping[str, Any] = {}
    body: Any = None
    headers: Mapping[str, str] = {}
    subject: str = AUTHOR


def good_requests(world: World) -> dict[str, Good]:
    """By label. Each succeeds in a world that nothing else was done in."""
    draft, published = {"issue_id": world.draft}, {"issue_id": world.published}
    newsletter = {"newsletter_id": world.newsletter}
    archive = {"newsletter_slug": world.slug}
    issues, newsletters, layouts = "/api/v1/issues", "/api/v1/newsletters", "/api/v1/layouts"
    return {
        f"GET {newsletters}": Good(query={"archived": "true", "limit": 2}),
        f"POST {newsletters}": Good(body={"name": f"New of {world.slug}", **_settings(world)}),
        f"GET {newsletters}/{{newsletter_id}}": Good(newsletter),
        f"PATCH {newsletters}/{{newsletter_id}}": Good(newsletter, body=_settings(world), headers=_ANY),
        f"POST {newsletters}/{{newsletter_id}}/archive": Good({"newsletter_id": world.empty_newsletter}),
        f"POST {newsletters}/{{newsletter_id}}/unarchive": Good({"newsletter_id": world.archived_newsletter}),
        f"POST {newsletters}/{{newsletter_id}}/welcome-mail/preview": Good(
            newsletter,
            body={"sample": {"name": "A"}, "welcome_mail": {"subject": "Hi {{ subscriber.name }}", "content": "x"}},
        ),
        f"POST {newsletters}/{{newsletter_id}}/welcome-mail/test": Good(
            newsletter,
            body={
                "to": [world.email],
                "subscriber_id": world.reader,
                "welcome_mail": {"subject": "Hi", "content": "Text"},
            },
        ),
        f"GET {layouts}": Good(query={"limit": 1}),
        f"POST {layouts}": Good(body={"name": f"New of {world.slug}", "format": "html", "source": LAYOUT}),
        f"GET {layouts}/{{layout_id}}": Good({"layout_id": world.layout}),
        f"PATCH {layouts}/{{layout_id}}": Good(
            {"layout_id": world.layout}, body={"source": LAYOUT.replace('"en"', '"fr"'), "format": "html"}, headers=_ANY
        ),
        f"DELETE {layouts}/{{layout_id}}": Good({"layout_id": world.spare_layout}),
        f"GET {issues}": Good(query={"newsletter_id": world.newsletter, "limit": 2}),
        f"POST {issues}": Good(body={**_texts(world), "newsletter_id": world.newsletter, "publish": True}),
        f"GET {issues}/{{issue_id}}": Good(draft),
        f"PATCH {issues}/{{issue_id}}": Good(draft, body=_texts(world), headers=_ANY),
        f"DELETE {issues}/{{issue_id}}": Good(draft),
        f"POST {issues}/{{issue_id}}/duplicate": Good(published),
        f"POST {issues}/{{issue_id}}/publish": Good(draft),
        f"POST {issues}/{{issue_id}}/cancel": Good(published),
        f"POST {issues}/{{issue_id}}/archive": Good(published, body={"in_archive": False}),
        f"POST {issues}/{{issue_id}}/schedule": Good(
            draft, body={"at": "2027-10-31T02:30", "time_zone": "Europe/Paris", "occurrence": "second"}
        ),
        f"DELETE {issues}/{{issue_id}}/schedule": Good({"issue_id": world.scheduled}),
        f"GET {issues}/{{issue_id}}/revisions": Good(draft, query={"limit": 1}),
        f"GET {issues}/{{issue_id}}/revisions/{{version}}": Good({**draft, "version": 1}),
        f"GET {issues}/{{issue_id}}/revisions/{{version}}/changes": Good({**draft, "version": 2}, query={"with": 1}),
        f"POST {issues}/{{issue_id}}/revisions/{{version}}/restore": Good({**draft, "version": 1}, headers=_ANY),
        f"POST {issues}/{{issue_id}}/preview": Good(
            draft,
            body={"sample": {"name": "A", "email": "a@example.com", "tags": ["x"], "attributes": {"city": "Rome"}}},
        ),
        f"POST {issues}/{{issue_id}}/test": Good(draft, body={"to": [world.email], "subscriber_id": world.reader}),
        f"POST {issues}/{{issue_id}}/checks": Good(draft, body={"links": False}),
        f"GET {issues}/{{issue_id}}/approval": Good({"issue_id": world.asked}),
        f"POST {issues}/{{issue_id}}/approval": Good(draft, body={"note": "Please look"}),
        f"POST {issues}/{{issue_id}}/approval/decision": Good(
            {"issue_id": world.asked}, body={"decision": "approved", "version": 1, "note": "Fine"}, subject=EDITOR
        ),
        f"POST {issues}/{{issue_id}}/audience": Good(draft, body={"token": None}),
        f"GET {issues}/{{issue_id}}/ab-test": Good({"issue_id": world.tested}),
        f"POST {issues}/{{issue_id}}/winner": Good({"issue_id": world.tested}, body={"variant": 2}),
        f"GET {issues}/{{issue_id}}/waves": Good({"issue_id": world.scheduled}),
        f"GET {issues}/{{issue_id}}/history": Good(published, query={"limit": 1}),
        "GET /public/archive": Good(query={"limit": 3}),
        "GET /public/archive/{newsletter_slug}/issues": Good(
            archive, query={"before_id": world.published + 1, "limit": 1}
        ),
        "GET /public/archive/{newsletter_slug}/issues/{issue_slug}": Good(
            {**archive, "issue_slug": world.published_slug}
        ),
        "GET /public/archive/{newsletter_slug}/feed": Good(archive),
    }


def likely(key: str, world: World) -> tuple[Any, ...]:
    """Values for a field of that name which may well get past validation; empty where there is no telling."""
    issues = (world.draft, world.asked, world.scheduled, world.published, world.tested)
    return {
        "issue_id": issues,
        "newsletter_id": (world.newsletter, world.empty_newsletter, world.archived_newsletter),
        "newsletter_slug": (world.slug,),
        "issue_slug": (world.published_slug,),
        "layout_id": (world.layout, world.spare_layout, None),
        "segment_id": (world.segment, None),
        "subscriber_id": (world.reader, None),
        "version": (1, 2, 3),
        "with": (1, 2),
        "before_id": issues,
        "to": ([world.email], ["news@example.com"]),
        "at": (SCHEDULED_FOR, "2027-03-28T02:30", "2027-10-31T02:30"),
        "time_zone": ("Europe/Paris", "America/St_Johns"),
        "content": (CONTENT, "{% if subscriber.name %}x{% endif %}", "<mjml><mj-body></mj-body></mjml>", "{{ no }}"),
        "source": (LAYOUT, "<mjml><mj-body><mj-raw>{{ content }}</mj-raw></mj-body></mjml>"),
        "links": (False,),
        "If-Match": ("*",),
        "cursor": ("djE6Mg",),
    }.get(key, ())


def _settings(world: World) -> dict[str, Any]:
    return {
        "description": "News",
        "from_name": "The office",
        "from_email": "office@example.com",
        "reply_to": "reply@example.com",
        "postal_address": "1 Quay, Port",
        "unsubscribe_handling": "custom",
        "language": "fr-CA",
        "direction": "ltr",
        "time_zone": "America/St_Johns",
        "accent_colour": "#123456",
        "logo_url": "https://cdn.example.com/logo.png",
        "logo_alt": "Logo",
        "layout_id": world.layout,
        "allowed_origins": ["https://blog.example.com"],
        "is_listed": True,
        "has_archive": True,
        "archive_is_hidden": False,
        "track_opens": True,
        "track_links": True,
    }


def _texts(world: World) -> dict[str, Any]:
    return {
        "title": "Another title",
        "subject": "For {{ subscriber.name | default: 'you' }}",
        "preheader": "In short",
        "format": "markdown",
        "content": CONTENT,
        "text_content": "Hello {{ subscriber.name }}",
        "layout_id": world.layout,
        "slug": "another",
        "in_archive": True,
    }
