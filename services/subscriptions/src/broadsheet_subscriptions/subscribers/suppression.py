"""Why a subscription gets no issues although it is confirmed; pure."""

from datetime import datetime

import msgspec

from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin


class Suppression(msgspec.Struct, frozen=True):
    """The address is suppressed on the newsletter's stream since `since`, so its issues are not sent.

    `origin`: who decided. `postmark_refusal`: Postmark's answer when it refused to lift or to keep the
    suppression.
    """

    kind: SuppressionKind
    origin: SuppressionOrigin
    since: datetime
    postmark_refusal: str | None
