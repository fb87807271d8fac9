"""The settings of the subscriptions service, from the environment."""

from typing import Annotated

import msgspec

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.settings import HttpUrl, PositiveInt, PositiveSeconds, Secret, ServiceSettings
from broadsheet_subscriptions.subscribers.address_flags import parse_flags
from broadsheet_subscriptions.webhooks.endpoints.sealed_secret import SecretBox
from broadsheet_subscriptions.webhooks.sending.target import TargetPolicy, parse_networks

EXPECTED_SCHEMA_VERSION = "0004"
"""The migration this code was written for."""

DAY_S = 86_400


class SubscriptionsSettings(ServiceSettings, frozen=True, kw_only=True):
    public_url: HttpUrl
    """Where the gateway is reached from outside: the only host that a link in a mail may have."""
    link_signing_keys: Secret
    """`id:hex,…`, the current key first; the same as delivery's."""
    erasure_keys: Secret
    """`id:hex,…`, the current key first; the same as delivery's. Erased addresses are known again by them."""
    identity_public_key: str
    """PEM, Ed25519: the gateway's identities are verified with it."""
    confirmation_lifetime_s: PositiveInt = 7 * DAY_S
    """How long a confirmation link works, and the mail that carries it waits to be sent."""
    confirmation_cool_down_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """At most one confirmation mail for an address and newsletter in this time."""
    secret_encryption_keys: Secret
    """`id:hex,…` of 32 bytes each, the current key first: webhooks' signing secrets are encrypted with it."""
    webhook_allowed_networks: str = ""
    """`10.0.0.0/8,…`: where webhooks may go beside public addresses. Whoever may set their URLs can then reach it."""
    webhook_allow_http: bool = False
    """Webhooks may go without TLS too: `local` only."""
    webhook_timeout_s: PositiveSeconds = 15.0
    """Longest wait for a receiver's answer, and once more for the beginning of its body."""
    webhook_calls_per_endpoint: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    """Calls to one receiver at once, by one replica."""
    webhook_failing_days: PositiveInt = 5
    """An endpoint of which every attempt has failed for so long is disabled."""
    webhook_log_kept_days: Annotated[int, msgspec.Meta(ge=7)] = 30
    """What was sent, and what still waits for an endpoint that is disabled, is removed after this."""
    import_csv_max_bytes: PositiveInt = 1024 * 1024 * 1024
    """The largest CSV file that an import takes; the gateway's IMPORT_BODY_MAX_BYTES must be no less."""
    import_xlsx_max_bytes: PositiveInt = 100 * 1024 * 1024
    """The largest spreadsheet that an import takes."""
    import_upload_max_s: PositiveInt = DAY_S
    """When an upload that has not ended is taken for broken off, and what came of it is removed."""
    import_lease_s: PositiveInt = 30
    """How long an import waits for a replica that has died before another goes on with it."""
    import_kept_s: PositiveInt = 30 * DAY_S
    """How long rejected rows, and files that may still be started, are kept after a run ended."""
    import_confirmations_per_minute: PositiveInt = 600
    """How many of the pending people of imports are asked to confirm, by all replicas together."""
    pending_lifetime_s: PositiveInt = 30 * DAY_S
    """How long a sign-up waits for its confirmation before it is forgotten; at least CONFIRMATION_LIFETIME_S."""
    mailbox_mails_max: PositiveInt = 10
    """Mails about sign-ups that one mailbox gets in MAILBOX_WINDOW_S, over all newsletters and `+tags`."""
    mailbox_window_s: PositiveInt = DAY_S
    """The window of MAILBOX_MAILS_MAX; it begins with the first mail."""
    refused_address_flags: str = ""
    """Flags of addresses that the public form refuses: `role`, `disposable`, or both with a comma. None by default."""

    preferences_link_lifetime_s: PositiveInt = 3_600
    """How long a mailed link to somebody's own page works."""
    address_change_lifetime_s: PositiveInt = DAY_S
    """How long a new address may take to be confirmed."""
    preferences_cool_down_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """At most one link to their own page, and one question at a new address, for a person in this time."""

    @property
    def webhook_targets(self) -> TargetPolicy:
        return TargetPolicy(parse_networks(self.webhook_allowed_networks), allow_http=self.webhook_allow_http)

    def __post_init__(self) -> None:
        if self.pending_lifetime_s < self.confirmation_lifetime_s:
            raise ValueError("PENDING_LIFETIME_S must be at least CONFIRMATION_LIFETIME_S, or links would end early")
        try:
            parse_flags(self.refused_address_flags)
        except ValueError as error:
            raise ValueError(f"REFUSED_ADDRESS_FLAGS is malformed: {error}") from error
        try:
            LinkSigner.parse(self.link_signing_keys.reveal())
        except ValueError as error:
            raise ValueError(f"LINK_SIGNING_KEYS is malformed: {error}") from error
        try:
            AddressHasher.parse(self.erasure_keys.reveal())
        except ValueError as error:
            raise ValueError(f"ERASURE_KEYS is malformed: {error}") from error
        try:
            IdentityVerifier(self.identity_public_key, "subscriptions")
        except (ValueError, TypeError) as error:
            raise ValueError(f"IDENTITY_PUBLIC_KEY is malformed: {error}") from error
        try:
            SecretBox.parse(self.secret_encryption_keys.reveal())
        except ValueError as error:
            raise ValueError(f"SECRET_ENCRYPTION_KEYS is malformed: {error}") from error
        try:
            parse_networks(self.webhook_allowed_networks)
        except ValueError as error:
            raise ValueError("WEBHOOK_ALLOWED_NETWORKS is malformed: expected networks (10.0.0.0/8)") from error
        if self.webhook_allow_http and self.broadsheet_env == "production":
            raise ValueError("WEBHOOK_ALLOW_HTTP is for `local` only: in production webhooks carry addresses by TLS")
