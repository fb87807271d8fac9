"""The page about a user's passkeys (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.pages.views import AdminPageView


class PasskeyRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None = None


class PasskeysPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/passkeys`, and its POST answered with faults. Field of `errors`: name.

    `is_possible` False: the installation has no host name. `may_add` False: a passkey has to be shown first.
    """

    template: ClassVar[str] = "account/passkeys.html"

    passkeys: tuple[PasskeyRow, ...]
    is_possible: bool = True
    may_add: bool = True
    may_remove: bool = True
    name: str = ""
    errors: Mapping[str, str] = {}
