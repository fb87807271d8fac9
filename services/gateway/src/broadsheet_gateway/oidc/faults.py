"""What can go wrong with a provider, each by a word that logs and the audit log may hold."""

from typing import Literal

FaultReason = Literal[
    # Nobody answered as agreed: not the user's doing, and worth another try.
    "provider_unreachable", "provider_answer_malformed", "provider_answer_too_large", "provider_metadata_wrong",
    # The provider, or the user there, said no.
    "provider_refused", "code_refused",
    # What came back was not for us, not for this sign-in, or not from the provider.
    "wrong_response_issuer", "wrong_algorithm", "unknown_key", "wrong_signature", "token_malformed",
    "wrong_issuer", "wrong_audience", "wrong_nonce", "wrong_access_token", "token_expired", "token_not_yet_valid",
]  # fmt: skip


class ProviderFault(Exception):  # noqa: N818  # a fault of somebody else's, as pages show it
    """The sign-in ends here. The text is for the log: it holds nothing that the provider or a browser sent."""

    def __init__(self, reason: FaultReason) -> None:
        super().__init__(reason)
        self.reason: FaultReason = reason

    @property
    def is_outage(self) -> bool:
        """Whether it may be over in a moment."""
        return self.reason.startswith("provider_") and self.reason != "provider_refused"
