"""The settings of the publishing service, from the environment."""

from email.utils import parseaddr
from typing import Annotated

import msgspec

from broadsheet_common.contracts.identity import IdentityVerifier
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.process.settings import HttpUrl, ServiceSettings
from broadsheet_publishing.compiling.compiler import CompilerSettings

EXPECTED_SCHEMA_VERSION = "0010"
"""The migration this code was written for."""


class PublishingSettings(ServiceSettings, frozen=True, kw_only=True):
    public_url: HttpUrl
    """The address that people see: links in previews and the archive begin with it."""
    identity_public_key: str
    """PEM, Ed25519: the gateway's identities are verified with it."""
    mail_from: str | None = None
    """The sender of newsletters that set none, as delivery has it. Without it, each newsletter needs its own."""
    fan_out_page_rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000
    """Subscribers enqueued in one transaction."""
    delivery_partition_above: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    """Recipients above which an issue gets partitions of its own in the queue, dropped whole when they are old."""

    stream_check_wait_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 3.0
    """How long setting a newsletter's stream waits for what delivery hears of it from Postmark."""

    compiler_processes: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    """Processes that make mails of what authors wrote, for previews, checks and publishing."""
    compiler_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    """How long one issue may take, and how long it may wait for its turn."""

    @property
    def compiler(self) -> CompilerSettings:
        return CompilerSettings(processes=self.compiler_processes, timeout_s=self.compiler_timeout_s)

    def __post_init__(self) -> None:
        try:
            IdentityVerifier(self.identity_public_key, "publishing")
        except (ValueError, TypeError) as error:
            raise ValueError(f"IDENTITY_PUBLIC_KEY is malformed: {error}") from error
        if self.mail_from is not None:
            try:
                EmailAddress.parse(parseaddr(self.mail_from)[1])
            except ValueError as error:
                raise ValueError(f"MAIL_FROM is malformed: {error}") from error
