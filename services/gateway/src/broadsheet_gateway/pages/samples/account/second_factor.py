"""Sample data of the pages about second factors."""

from datetime import UTC, datetime

from markupsafe import Markup

from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.people_views import NewsletterChoice, RequirementPage
from broadsheet_gateway.pages.second_factor_views import LoginCodePage, RecoveryCodesPage, SecondFactorPage, SetUpPage
from broadsheet_gateway.pages.views import PageView, SignedIn
from broadsheet_gateway.second_factor.authenticator import in_groups, qr_svg, set_up_address

_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 (of no user)
_NEWSLETTERS = (NewsletterChoice(1, "The Weekly"), NewsletterChoice(2, "Harbour notes"))
_CODES = tuple(f"{n}f3k-9wq2-hx7m-c0vd-8r5t-j{n}yb" for n in range(10))


def second_factor_samples(signed_in: SignedIn) -> dict[str, PageView]:
    added_at = datetime(2026, 3, 12, 8, 5, tzinfo=UTC)
    qr = Markup(qr_svg(set_up_address(_SECRET, username="ada", host="news.example.com")))  # noqa: S704
    set_up = SetUpPage(signed_in=signed_in, qr=qr, secret=in_groups(_SECRET))
    return {
        "login-code": LoginCodePage(),
        "login-code-wrong": LoginCodePage(errors={"code": "This code is not right, or was used before."}),
        "login-code-limited": LoginCodePage(flashes=(FlashCode.TOO_MANY_CODES,)),
        "second-factor-none": SecondFactorPage(signed_in=signed_in, added_at=None),
        "second-factor-needed": SecondFactorPage(signed_in=signed_in, added_at=None, must_set_up=True),
        "second-factor": SecondFactorPage(signed_in=signed_in, added_at=added_at, recovery_codes_left=8),
        "second-factor-no-codes": SecondFactorPage(signed_in=signed_in, added_at=added_at, recovery_codes_left=0),
        "second-factor-set-up": set_up,
        "second-factor-set-up-wrong": SetUpPage(
            signed_in=signed_in,
            qr=qr,
            secret=set_up.secret,
            errors={"code": "This is not the code that your authenticator shows now. Check that its clock is right."},
        ),
        "requirement": RequirementPage(
            signed_in=signed_in,
            is_recent=True,
            version='"a1"',
            of_everybody=False,
            newsletters=_NEWSLETTERS,
            chosen=frozenset({2}),
        ),
        "requirement-refused": RequirementPage(
            signed_in=signed_in,
            is_recent=True,
            version='"a1"',
            of_everybody=False,
            newsletters=_NEWSLETTERS,
            form_error="Set up a second factor of your own, or a passkey, before you require one.",
        ),
        "requirement-many": RequirementPage(
            signed_in=signed_in, is_recent=False, version='"a1"', of_everybody=True, has_more=True
        ),
        "recovery-codes": RecoveryCodesPage(signed_in=signed_in, codes=_CODES, is_new_factor=True),
    }
