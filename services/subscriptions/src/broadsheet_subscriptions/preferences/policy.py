"""What holds for links to a person's own pages; pure."""

from datetime import timedelta

import msgspec

from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource

MAILS_A_DAY_MAX = 10
"""Of each kind, for one person, and for one new address."""


class PreferencesPolicy(msgspec.Struct, frozen=True):
    """`link_lifetime` of a link to one's own pages, `change_lifetime` of one that confirms a new address; at most one
    mail of a kind within `cool_down`.
    """

    public_url: str
    link_lifetime: timedelta
    change_lifetime: timedelta
    cool_down: timedelta
    token_source: TokenSource
