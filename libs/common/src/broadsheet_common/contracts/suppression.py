"""Why an address is suppressed and by whom: the values that both services use; pure.

Delivery publishes them in its view `delivery.published_suppressed`; subscriptions reads them there.
"""

from typing import Final, Literal

SuppressionKind = Literal["inactive", "manual", "hard_bounce", "soft_bounces", "unsubscribe", "complaint"]
"""`inactive`: Postmark refused the address (error 406) and we know no reason."""

SuppressionOrigin = Literal["postmark", "recipient", "customer", "admin", "operator", "rule"]
"""Who decided. `operator`: one of our users, through our API. `rule`: our rule about repeated soft bounces."""

REASONS: Final[dict[SuppressionKind, str]] = {
    "inactive": "Postmark has marked the address as inactive.",
    "manual": "Suppressed by hand.",
    "hard_bounce": "The address bounced.",
    "soft_bounces": "The address had repeated soft bounces.",
    "unsubscribe": "The recipient unsubscribed through Postmark.",
    "complaint": "The recipient complained of spam.",
}
