"""Sample data of the pages about the provider that people may sign in by."""

from datetime import UTC, datetime
from typing import get_args

import msgspec

from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.provider_views import (
    ProviderLinkPage,
    ProviderRefusalPage,
    RefusalReason,
    ToProviderPage,
)
from broadsheet_gateway.pages.views import LoginPage, PageView, SignedIn

_NAME = "the Guild of Letters"
_SINCE = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def provider_samples(signed_in: SignedIn) -> dict[str, PageView]:
    somebody = msgspec.structs.replace(signed_in, provider_name=_NAME)
    refusals: dict[str, PageView] = {
        f"provider-{reason.replace('_', '-')}": ProviderRefusalPage(name=_NAME, reason=reason)
        for reason in get_args(RefusalReason)
    }
    return refusals | {
        "login-provider": LoginPage(provider_name=_NAME),
        "provider-link": ProviderLinkPage(signed_in=somebody, name=_NAME, linked_at=None),
        "provider-linked": ProviderLinkPage(
            signed_in=somebody,
            flashes=(FlashCode.PROVIDER_LINKED,),
            name=_NAME,
            linked_at=_SINCE,
            roles=("analyst:3", "editor"),
        ),
        "provider-linked-old-proof": ProviderLinkPage(
            signed_in=somebody, name=_NAME, linked_at=_SINCE, is_recent=False
        ),
        "provider-go": ToProviderPage(
            signed_in=somebody, name=_NAME, address="https://login.example.com/authorize?client_id=broadsheet"
        ),
    }
