"""Sample data of the pages on API keys."""

from datetime import UTC, date, datetime

import msgspec

from broadsheet_gateway.admin.keys.views import KeyPage, KeyRow, KeySecretPage, KeysPage, NewKeyPage, UseRow
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.people_views import NewsletterChoice
from broadsheet_gateway.pages.views import PageView, SignedIn


def _at(day: int) -> datetime:
    return datetime(2026, 3, day, 9, 30, tzinfo=UTC)


def key_samples(signed_in: SignedIn) -> dict[str, PageView]:
    shop = KeyRow(
        id=1,
        name="Web shop",
        prefix="bs_0a1b2c3d",
        username="admin",
        is_own=True,
        state="good",
        scopes=("subscribers:read", "subscribers:write"),
        newsletters=("The Systems Letter",),
        created_at=_at(1),
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        last_used_at=_at(12),
        rotated_at=_at(11),
        previous_expires_at=_at(13),
    )
    old = KeyRow(
        id=2,
        name="A script that somebody wrote long ago and gave a name that says all of what it does",
        prefix="bs_4e5f6a7b",
        username="ada",
        is_own=False,
        state="revoked",
        scopes=("issues:read",),
        newsletters=None,
        created_at=_at(1),
        revoked_at=_at(5),
    )
    over = msgspec.structs.replace(old, id=3, name="Trial", state="expired", revoked_at=None, expires_at=_at(4))
    uses = (
        UseRow(day=date(2026, 3, 12), source="203.0.113.7", requests=12345, last_at=_at(12)),
        UseRow(day=date(2026, 3, 11), source="other", requests=3, last_at=_at(11)),
    )
    newsletters = (NewsletterChoice(1, "The Systems Letter"), NewsletterChoice(3, "Harbour Notes (archived)"))
    new = NewKeyPage(signed_in=signed_in, scopes=tuple(sorted(signed_in.permissions)), newsletters=newsletters)
    page = KeyPage(signed_in=signed_in, key=shop, name=shop.name, uses=uses, next_cursor="sample")
    return {
        "keys": KeysPage(signed_in=signed_in, keys=(shop, old, over), next_cursor="djE6Mw", of_all=True),
        "keys-none": KeysPage(signed_in=signed_in, keys=()),
        "keys-to-confirm": KeysPage(signed_in=signed_in, keys=(shop,), is_recent=False),
        "key-new": new,
        "key-new-errors": msgspec.structs.replace(
            new,
            name="Web shop",
            expires_on="2020-01-01",
            ticked=frozenset({"read", "issues:publish"}),
            chosen=frozenset({3}),
            errors={
                "name": "You have a key of this name already.",
                "expires_on": "This is in the past.",
                "scopes": "You do not have this permission yourself.",
                "newsletter_ids": "At most 100 newsletters.",
            },
        ),
        "key-made": KeySecretPage(
            signed_in=signed_in,
            key=msgspec.structs.replace(shop, previous_expires_at=None),
            secret="bs_0a1b2c3d_" + "x" * 43,
            is_new=True,
        ),
        "key-rotated": KeySecretPage(signed_in=signed_in, key=shop, secret="bs_0a1b2c3d_" + "x" * 43, is_new=False),
        "key": msgspec.structs.replace(page, flashes=(FlashCode.KEY_RENAMED,)),
        "key-errors": msgspec.structs.replace(
            page, name="", errors={"name": "A name is needed.", "overlap": "Choose one.", "sure": "Tick the box."}
        ),
        "key-rotated-meanwhile": msgspec.structs.replace(page, form_error="The key has got a new secret."),
        "key-to-confirm": msgspec.structs.replace(page, is_recent=False),
        "key-revoked": KeyPage(signed_in=signed_in, key=old, name=old.name),
    }
