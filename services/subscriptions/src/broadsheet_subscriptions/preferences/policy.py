"""Limits for links to preference pages. Pure."""

from datetime import timedelta

import msgspec

from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource

MAILS_A_DAY_MAX = 10
"""Of each kind, per subscriber and per new address."""


class PreferencesPolicy(msgspec.Struct, frozen=True):
    """`link_lifetime` is for links to the preference page, `change_lifetime` for links that confirm a new address;
    at most one mail of a kind is sent within `cool_down`.
    """

    public_url: str
    link_lifetime: timedelta
    change_lifetime: timedelta
    cool_down: timedelta
    token_source: TokenSource
