"""Why a subscription gets no mail although it is confirmed; pure."""

from datetime import datetime

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin


class Suppression(msgspec.Struct, frozen=True):
    """The address is suppressed on the newsletter's stream since `since`, so that its issues are not sent.

    `origin` says who decided. `postmark_refusal`: what Postmark answered when it was asked to lift or to keep it.
    """

    kind: SuppressionKind
    origin: SuppressionOrigin
    since: datetime
    postmark_refusal: str | None
