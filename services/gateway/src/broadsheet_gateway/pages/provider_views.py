"""The pages about the provider: one Struct a page (see `views`). `name` is what people call it."""

from datetime import datetime
from typing import ClassVar, Literal

from broadsheet_gateway.pages.views import AdminPageView, PageView

RefusalReason = Literal["outage", "refused", "not_linked", "no_group"]


class ProviderRefusalPage(PageView, frozen=True, kw_only=True):
    """A sign-in by the provider that ends. `outage`: it does not answer as agreed. `refused`: it did not say, in a way
    that counts, who came. `not_linked`, `no_group`: nobody here belongs to the account there.
    """

    template: ClassVar[str] = "account/provider_refusal.html"

    name: str
    reason: RefusalReason


class ProviderLinkPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/provider`. `linked_at` None: there is no link. `roles`: those that groups there gave."""

    template: ClassVar[str] = "account/provider_link.html"

    name: str
    linked_at: datetime | None
    roles: tuple[str, ...] = ()
    is_recent: bool = True


class ToProviderPage(AdminPageView, frozen=True, kw_only=True):
    """`POST /admin/account/provider/link`: goes on to the provider by itself."""

    template: ClassVar[str] = "account/provider_go.html"

    name: str
    address: str
