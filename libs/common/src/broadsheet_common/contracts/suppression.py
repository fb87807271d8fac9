"""Why and by whom an address is suppressed: the words of both services; pure.

They cross from delivery (its view `delivery.published_suppressed`) to the service that keeps subscriptions.
"""

from typing import Final, Literal

SuppressionKind = Literal["inactive", "manual", "hard_bounce", "soft_bounces", "unsubscribe", "complaint"]
"""inactive: Postmark refused the address (error 406) without a reason that we know."""

SuppressionOrigin = Literal["postmark", "recipient", "customer", "admin", "operator", "rule"]
"""Who decided; operator: somebody here, through our API; rule: the one about repeated soft bounces."""

REASONS: Final[dict[SuppressionKind, str]] = {
    "inactive": "Postmark holds the address for inactive.",
    "manual": "Suppressed by hand.",
    "hard_bounce": "The address bounced.",
    "soft_bounces": "The address bounced softly again and again.",
    "unsubscribe": "The recipient unsubscribed through Postmark.",
    "complaint": "The recipient complained of spam.",
}
