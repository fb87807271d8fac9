"""The delivery service's settings."""

from email.utils import parseaddr
from typing import Annotated

import msgspec

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.process.settings import (
    HttpUrl,
    PositiveInt,
    PositiveSeconds,
    PostgresUrl,
    Secret,
    ServiceSettings,
    SettingsError,
)

LEASE_MARGIN_S = 2.0
"""A lease must outlive the call by at least this much: time to store the answer."""


class DeliverySettings(ServiceSettings, frozen=True, kw_only=True):
    """Environment variables of `broadsheet-delivery`."""

    database_pool_size: PositiveInt = 3
    """Connections. No transaction is open during a call, and each takes milliseconds, so a few serve many calls."""
    public_url: HttpUrl
    identity_public_key: str
    link_signing_keys: Secret
    erasure_keys: Secret
    """`id:hex,…`, the current key first; the same as subscriptions'. Keyed hashes of erased addresses are made with
    it.
    """
    mail_from: str
    """Sender of mail whose newsletter names none: `Name <address>`."""
    postmark_base_url: HttpUrl
    postmark_server_token: Secret
    postmark_transactional_stream: str = "outbound"
    delivery_concurrent_calls: PositiveInt = 4
    """Concurrent batch calls of one replica."""
    delivery_slow_call_s: PositiveSeconds = 15.0
    """A call that takes longer counts as a failure for the breaker and gives up its place."""
    delivery_breaker_failures: PositiveInt = 5
    """Unknown outcomes in a row, over all replicas, after which the breaker opens."""
    delivery_http_timeout_s: PositiveSeconds = 120.0
    """Batches of 500 have taken over a minute; a short time-out would only make outcomes unknown."""
    delivery_lease_s: PositiveSeconds = 150.0
    delivery_reconcile_floor_s: PositiveSeconds = 300.0
    """A call younger than this is never treated as "not sent", whatever the search shows."""
    delivery_reconcile_deadline_s: PositiveSeconds = 900.0
    """A call that is still uncertain so long after it began is parked: an operator may decide about it."""
    delivery_work_kept_days: PositiveInt = 30
    """Days that an ended issue's chunks, attempts and single mails are kept. Its counts are kept for ever."""
    delivery_outcomes_kept_days: PositiveInt = 365
    """Days that the deliveries and outcomes of an ended issue are kept."""
    delivery_canary_address: str | None = None
    """Address for canary mails, which are sent when proof of "not sent" needs one and no later mail of ours can
    serve.
    """
    delivery_backstop_interval_s: PositiveSeconds = 3600.0
    """Time between two comparisons with Postmark's bounces and suppressions (see `run_backstop`)."""
    delivery_backstop_dump_bytes_max: PositiveInt = 50_000_000
    """Largest suppression dump of one stream that is read; a larger one is skipped and logged."""
    delivery_soft_bounces: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5
    """Soft bounces of an address on a stream, with no delivered mail between them, after which it is suppressed. 0:
    never.
    """
    delivery_soft_bounce_days: PositiveInt = 30
    """Days within which the soft bounces must lie."""
    delivery_rescue_interval_s: PositiveSeconds = 5.0
    delivery_poll_s: PositiveSeconds = 2.0
    """Longest wait between two polls of an empty newsletter lane; a publish wakes it sooner."""
    delivery_single_poll_s: PositiveSeconds = 0.5
    delivery_streams_max: PositiveInt = 500
    """Event streams that one replica serves at once."""
    delivery_streams_per_caller_max: PositiveInt = 20
    """Of them, those of one user or API key."""
    delivery_stream_max_s: PositiveSeconds = 900.0
    """An event stream that is open for longer ends, and its client comes back."""
    database_listen_url: PostgresUrl | None = None
    """A direct connection for LISTEN, if DATABASE_URL leads through pgbouncer."""
    batch_bytes_max: PositiveInt = 45_000_000
    """Largest batch call; Postmark's limit is 50 MB."""

    def __post_init__(self) -> None:
        """Raises SettingsError, naming every setting at fault."""
        problems: list[str] = []
        if self.delivery_lease_s < self.delivery_http_timeout_s + LEASE_MARGIN_S:
            problems.append(f"DELIVERY_LEASE_S must exceed DELIVERY_HTTP_TIMEOUT_S by {LEASE_MARGIN_S:g} s or more")
        if self.delivery_outcomes_kept_days < self.delivery_work_kept_days:
            problems.append("DELIVERY_OUTCOMES_KEPT_DAYS must be at least DELIVERY_WORK_KEPT_DAYS")
        if not self.postmark_server_token.reveal().isascii():
            problems.append("POSTMARK_SERVER_TOKEN is malformed: it goes into a header, which takes ASCII only")
        for name, check in (
            ("LINK_SIGNING_KEYS", lambda: LinkSigner.parse(self.link_signing_keys.reveal())),
            ("ERASURE_KEYS", lambda: AddressHasher.parse(self.erasure_keys.reveal())),
            ("IDENTITY_PUBLIC_KEY", lambda: IdentityVerifier(self.identity_public_key, "delivery")),
            ("MAIL_FROM", lambda: EmailAddress.parse(parseaddr(self.mail_from)[1])),
        ):
            try:
                check()
            except (ValueError, TypeError) as error:
                problems.append(f"{name} is malformed: {error}")
        if problems:
            raise SettingsError(problems)
