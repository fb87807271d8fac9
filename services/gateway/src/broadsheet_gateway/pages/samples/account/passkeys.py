"""Sample data of the page about passkeys, and of those that ask for one."""

from datetime import UTC, datetime

from broadsheet_gateway.pages.account_views import ConfirmIdentityPage
from broadsheet_gateway.pages.passkey_views import PasskeyRow, PasskeysPage
from broadsheet_gateway.pages.second_factor_views import SecondFactorPage
from broadsheet_gateway.pages.views import LoginPage, PageView, SignedIn


def passkey_samples(signed_in: SignedIn) -> dict[str, PageView]:
    added_at = datetime(2026, 3, 12, 8, 5, tzinfo=UTC)
    rows = (
        PasskeyRow(id=1, name="Phone", created_at=added_at, last_used_at=datetime(2026, 3, 13, 9, 30, tzinfo=UTC)),
        PasskeyRow(id=2, name="The key in the drawer at home", created_at=added_at),
    )
    return {
        "passkeys": PasskeysPage(signed_in=signed_in, passkeys=rows),
        "passkeys-none": PasskeysPage(signed_in=signed_in, passkeys=()),
        "passkeys-errors": PasskeysPage(
            signed_in=signed_in, passkeys=rows, errors={"name": "Give it a name, such as where it is kept."}
        ),
        "passkeys-impossible": PasskeysPage(signed_in=signed_in, passkeys=(), is_possible=False),
        "passkeys-show-first": PasskeysPage(signed_in=signed_in, passkeys=rows, may_add=False, may_remove=False),
        "second-factor-passkey": SecondFactorPage(signed_in=signed_in, added_at=None, must_set_up=True, may_add=False),
        "login-passkeys": LoginPage(passkeys_possible=True),
        "confirm-identity-passkey": ConfirmIdentityPage(
            signed_in=signed_in, next_path="/admin/account/passkeys", asks_passkey=True
        ),
        "confirm-identity-passkey-alone": ConfirmIdentityPage(
            signed_in=signed_in, next_path="/admin/account/passkeys", asks_passkey=True, has_password=False
        ),
    }
