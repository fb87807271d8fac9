"""The places of the navigation inside, and who sees each: links to pages that would be refused are not shown."""

from typing import Final

import msgspec

from broadsheet_common.contracts.permissions import Permission
from broadsheet_gateway.pages.views import SignedIn


class Place(msgspec.Struct, frozen=True):
    """`key` marks the current one (`here` in a template). `everywhere`: it needs the permission for every newsletter.
    `shortcut`: the letter that leads there after `g`.
    """

    key: str
    path: str
    text: str
    needs: Permission | None = None
    everywhere: bool = False
    shortcut: str = ""

    def is_open_to(self, signed_in: SignedIn) -> bool:
        held = signed_in.everywhere if self.everywhere else signed_in.permissions
        return self.needs is None or self.needs in held


class Group(msgspec.Struct, frozen=True):
    """Places that belong together, under a heading; the first group has none."""

    heading: str
    places: tuple[Place, ...]


NAVIGATION: Final = (
    Group(
        "",
        (
            Place("dashboard", "/admin/dashboard", "Home", shortcut="h"),
            Place("issues", "/admin/issues", "Issues", "issues:read", shortcut="i"),
        ),
    ),
    Group(
        "People",
        (
            Place("subscribers", "/admin/subscribers", "Subscribers", "subscribers:read", shortcut="s"),
            Place("segments", "/admin/segments", "Segments", "segments:read", everywhere=True),
            Place("imports", "/admin/imports", "Imports", "imports:read", everywhere=True),
            Place("exports", "/admin/exports", "Exports", "subscribers:export", everywhere=True),
            Place("suppressions", "/admin/suppressions", "Suppressions", "suppressions:read", everywhere=True),
        ),
    ),
    Group(
        "Run",
        (
            Place("sending", "/admin/sending", "Sending", "senders:read", everywhere=True, shortcut="o"),
            Place("newsletters", "/admin/newsletters", "Quick publish", "issues:publish"),
        ),
    ),
    Group(
        "Set up",
        (
            Place("newsletter-settings", "/admin/settings/newsletters", "Newsletters", "newsletters:read"),
            Place("layouts", "/admin/settings/layouts", "Layouts", "layouts:read"),
            Place("webhooks", "/admin/webhooks", "Webhooks", "webhooks:read", everywhere=True),
            Place("users", "/admin/users", "Users", "users:read", everywhere=True),
            Place("keys", "/admin/api-keys", "API keys", "keys:read"),
            Place("audit", "/admin/audit", "Audit log", "audit:read", everywhere=True),
        ),
    ),
    Group(
        "You",
        (
            Place("account", "/admin/password", "Account"),
            Place("docs", "/docs", "API"),
        ),
    ),
)


def open_groups(signed_in: SignedIn) -> tuple[Group, ...]:
    """The groups with the places that are open to the user; none that would be empty."""
    shown = (
        Group(group.heading, tuple(place for place in group.places if place.is_open_to(signed_in)))
        for group in NAVIGATION
    )
    return tuple(group for group in shown if group.places)
