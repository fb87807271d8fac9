"""The sentences that people agree to at a sign-up form, by version.

A form shows one and sends its version along; the consent record keeps the version. So a version that was ever shown is
never changed or taken out: a new sentence is a new version, put at the end.
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
