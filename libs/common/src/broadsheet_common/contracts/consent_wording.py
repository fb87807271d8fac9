"""The sentences that people agree to at a sign-up form, by version.

A form shows one sentence and sends its version; the consent record stores the version. So a version that was ever
shown is never changed or removed: a new sentence is added at the end as a new version.
"""

from typing import Final

WORDINGS: Final[dict[int, str]] = {
    1: (
        "Your name and address are kept to send you this newsletter. "
        "No mail comes before you confirm but the one that asks you to."
    ),
}
CURRENT_VERSION: Final = max(WORDINGS)
CURRENT_WORDING: Final = WORDINGS[CURRENT_VERSION]
