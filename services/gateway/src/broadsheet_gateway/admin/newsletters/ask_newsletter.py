"""What the pages on newsletters ask of publishing."""

from typing import Final

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.admin.newsletters.newsletter import Fields, Newsletter
from broadsheet_gateway.admin.newsletters.views import LayoutChoice
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer

NEWSLETTERS_SHOWN: Final = 50
LAYOUTS_OFFERED_MAX: Final = 200
ADDRESSES_TESTED_MAX: Final = 10

_PATH: Final = "/api/v1/newsletters"


class MailPreview(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    text: str
    html: str | None = None


class TestSent(msgspec.Struct, frozen=True, kw_only=True):
    sent: int


async def ask_newsletters(calls: ServiceCalls, *, with_archived: bool, cursor: str | None) -> Page[Newsletter]:
    query = {"limit": NEWSLETTERS_SHOWN, "cursor": cursor, "archived": "true" if with_archived else None}
    return await calls.get("publishing", _PATH, Page[Newsletter], query)


async def ask_newsletter(calls: ServiceCalls, newsletter_id: int) -> TaggedAnswer[Newsletter]:
    return await calls.get_tagged("publishing", f"{_PATH}/{newsletter_id}", Newsletter)


async def ask_layouts(calls: ServiceCalls, *, chosen: int | None) -> tuple[LayoutChoice, ...] | None:
    """The first ones, and the one that is chosen. None: publishing does not answer, or the user may not see them."""
    found = await or_none(
        calls.get("publishing", "/api/v1/layouts", Page[LayoutChoice], {"limit": LAYOUTS_OFFERED_MAX})
    )
    if found is None:
        return None
    layouts = tuple(found.items)
    if chosen is None or chosen in {one.id for one in layouts}:
        return layouts
    return (*layouts, LayoutChoice(chosen, f"Layout {chosen}"))


async def create_newsletter(calls: ServiceCalls, body: dict[str, object], *, idempotency_key: str) -> Newsletter:
    return await calls.send("publishing", "POST", _PATH, Newsletter, body=body, idempotency_key=idempotency_key)


async def change_newsletter(
    calls: ServiceCalls, newsletter_id: int, body: dict[str, object], *, if_match: str
) -> Newsletter:
    return await calls.send("publishing", "PATCH", f"{_PATH}/{newsletter_id}", Newsletter, body=body, if_match=if_match)


async def set_archived(calls: ServiceCalls, newsletter_id: int, *, is_archived: bool) -> Newsletter:
    verb = "archive" if is_archived else "unarchive"
    return await calls.send("publishing", "POST", f"{_PATH}/{newsletter_id}/{verb}", Newsletter)


async def preview_welcome(calls: ServiceCalls, newsletter_id: int, typed: Fields | None) -> MailPreview:
    """As it is saved, or as it was typed. Raises as `ServiceCalls.send`: a mail that cannot be made is refused."""
    body: dict[str, object] = {}
    if typed is not None:
        body["welcome_mail"] = {"subject": typed["welcome_subject"], "content": typed["welcome_content"]}
    return await calls.send(
        "publishing", "POST", f"{_PATH}/{newsletter_id}/welcome-mail/preview", MailPreview, body=body
    )


async def preview_sign_up_mail(
    calls: ServiceCalls, newsletter_id: int, mail: str, texts: dict[str, str]
) -> MailPreview:
    """`texts`: what is being written; the others are as they are saved."""
    body: dict[str, object] = {"mail": mail, "texts": texts}
    return await calls.send(
        "subscriptions", "POST", f"{_PATH}/{newsletter_id}/sign-up-mails/preview", MailPreview, body=body
    )


async def test_welcome(calls: ServiceCalls, newsletter_id: int, to: list[str], *, idempotency_key: str) -> TestSent:
    return await calls.send(
        "publishing",
        "POST",
        f"{_PATH}/{newsletter_id}/welcome-mail/test",
        TestSent,
        body={"to": to},
        idempotency_key=idempotency_key,
    )
