"""What the pages on suppressions show."""

from datetime import datetime
from typing import ClassVar, Final, Literal

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

ActiveFilter = Literal["yes", "no", "all"]

KINDS: Final[dict[SuppressionKind, str]] = {
    "inactive": "Inactive at Postmark",
    "manual": "By hand",
    "hard_bounce": "Bounced",
    "soft_bounces": "Bounced again and again",
    "unsubscribe": "Unsubscribed at Postmark",
    "complaint": "Spam complaint",
}
ORIGINS: Final[dict[SuppressionOrigin, str]] = {
    "postmark": "Postmark",
    "recipient": "the recipient",
    "customer": "a customer of Postmark",
    "admin": "the staff of Postmark",
    "operator": "one of us",
    "rule": "our rule about bounces",
}


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """The member names are those of the API's Suppression."""

    id: int
    email: str
    stream: str | None
    kind: SuppressionKind
    reason: str = ""
    origin: SuppressionOrigin
    note: str | None = None
    active: bool
    changed_at: datetime
    postmark_told: bool
    postmark_refusal: str | None = None

    @property
    def kind_text(self) -> str:
        return KINDS[self.kind]

    @property
    def origin_text(self) -> str:
        return ORIGINS[self.origin]

    @property
    def may_be_lifted(self) -> bool:
        return self.active and self.kind != "complaint"


class TypedFilter(msgspec.Struct, frozen=True):
    email: str = ""
    stream: str = ""
    active: ActiveFilter = "yes"

    @property
    def is_narrow(self) -> bool:
        return bool(self.email or self.stream) or self.active != "yes"


class SuppressionsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/suppressions`. `suppressions` None: delivery does not answer. `streams`: those of the newsletters,
    to choose from. `filter_error`: why the search was refused.
    """

    template: ClassVar[str] = "suppressions/suppressions.html"

    suppressions: tuple[Suppression, ...] | None
    typed: TypedFilter = TypedFilter()
    streams: tuple[str, ...] = ()
    next_cursor: str | None = None
    is_first_page: bool = True
    may_write: bool = True
    filter_error: str = ""


class NewSuppressionPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/suppressions/new`, and its POST answered with faults. Fields of `errors`: email, stream, note."""

    template: ClassVar[str] = "suppressions/new_suppression.html"

    idempotency_key: str
    email: str = ""
    stream: str = ""
    note: str = ""
    streams: tuple[str, ...] = ()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""
