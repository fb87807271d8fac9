"""A newsletter as the API shows it: its settings, its welcome mail, and what is known of its stream."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.entity_tag import entity_tag
from broadsheet_common.languages.reader_texts import ReaderTexts
from broadsheet_publishing.newsletters import store
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.newsletter import MissingSetting, missing_settings
from broadsheet_publishing.newsletters.stream_check import NOT_ASKED, StreamCheck
from broadsheet_publishing.welcome.interface import WelcomeRow, find_welcomes
from broadsheet_publishing.welcome.welcome_mail import WelcomeFault

Direction = Literal["ltr", "rtl"]
UnsubscribeHandling = Literal["custom", "postmark"]


class WelcomeMail(msgspec.Struct, frozen=True, kw_only=True):
    """What people get once, when they have confirmed for the first time: `subject` with merge fields, `content` in
    Markdown with them, in the newsletter's layout. `faults`: why it cannot be made as it is; one that is enabled then
    goes out as it could be made last.
    """

    enabled: bool
    subject: str
    content: str
    faults: tuple[WelcomeFault, ...]


class Newsletter(msgspec.Struct, frozen=True, kw_only=True):
    """A newsletter. A null `from_name`, `from_email` or `reply_to` means the installation's own.

    `is_ready`: it can publish; if not, `missing` names the settings that it lacks. `stream_check`: what Postmark says
    of its stream. `language` (BCP 47), `direction`, `accent_colour` (`#rrggbb`) and the logo are for its mails and
    public pages. `layout_id` null is the layout that ships. Empty `sign_up_…` texts, and empty ones in `texts`,
    mean our own words. `allowed_origins`: sites that hold its form, and whose scripts may read the answers.
    `is_listed`: the public home page names it. `has_archive`: what was sent can be read on the web;
    `archive_is_hidden`: search engines are asked not to list it. `track_opens`, `track_links`: Postmark reports who
    opened a mail and which links were followed; its sign-up page says so. `requires_approval`: an issue goes out only
    after another person approved it. An archived newsletter takes no sign-ups and publishes nothing.

    The entity tag does not count `stream_check` and the welcome mail's `faults`, which change without an edit.
    """

    id: int
    slug: str
    name: str
    is_default: bool
    is_ready: bool
    missing: tuple[MissingSetting, ...]
    description: str
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    postal_address: str
    message_stream: str
    unsubscribe_handling: UnsubscribeHandling
    stream_check: StreamCheck
    language: str
    direction: Direction
    time_zone: str
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    layout_id: int | None
    welcome_mail: WelcomeMail
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    texts: ReaderTexts
    allowed_origins: list[str]
    is_listed: bool
    has_archive: bool
    archive_is_hidden: bool
    track_opens: bool
    track_links: bool
    requires_approval: bool
    created_at: datetime
    archived_at: datetime | None


async def show_newsletters(
    connection: AsyncConnection, rows: Sequence[store.NewsletterRow], installation: Installation
) -> list[Newsletter]:
    ids = [row.id for row in rows]
    welcomes = await find_welcomes(connection, ids)
    checks = await store.find_stream_checks(connection, ids)
    return [_shown(row, installation, welcomes.get(row.id), checks.get(row.id, NOT_ASKED)) for row in rows]


async def show_newsletter(
    connection: AsyncConnection, row: store.NewsletterRow, installation: Installation
) -> Newsletter:
    [shown] = await show_newsletters(connection, [row], installation)
    return shown


def lasting(newsletter: Newsletter) -> Newsletter:
    """Without what changes without an edit: what an entity tag is of."""
    welcome = msgspec.structs.replace(newsletter.welcome_mail, faults=())
    return msgspec.structs.replace(newsletter, stream_check=NOT_ASKED, welcome_mail=welcome)


def tag_of(newsletter: Newsletter) -> str:
    return entity_tag(lasting(newsletter))


def _shown(
    row: store.NewsletterRow, installation: Installation, welcome: WelcomeRow | None, check: StreamCheck
) -> Newsletter:
    missing = missing_settings(
        from_email=row.from_email,
        postal_address=row.postal_address,
        installation_has_sender=installation.sender is not None,
    )
    source = welcome.source if welcome is not None else None
    return Newsletter(
        is_ready=not missing,
        missing=missing,
        stream_check=check,
        welcome_mail=WelcomeMail(
            enabled=source is not None and source.is_enabled,
            subject="" if source is None else source.subject,
            content="" if source is None else source.content,
            faults=() if welcome is None else welcome.faults,
        ),
        **msgspec.structs.asdict(row),
    )
