"""The whole state of a running sandbox, and the settings that may change while it runs."""

import asyncio
import time
from typing import Annotated, Final

import msgspec

from broadsheet_postmark_sandbox.api.read_body import BufferPool
from broadsheet_postmark_sandbox.events.bounces import BounceList
from broadsheet_postmark_sandbox.events.webhooks import ALL_TRIGGERS, BasicAuth, Webhook, WebhookSender
from broadsheet_postmark_sandbox.faults.inject_faults import FaultInjector
from broadsheet_postmark_sandbox.faults.rules import FaultSet
from broadsheet_postmark_sandbox.messages.message_events import MessageEvents
from broadsheet_postmark_sandbox.messages.message_log import MessageLog
from broadsheet_postmark_sandbox.settings import SandboxSettings, UnsubscribeHandling
from broadsheet_postmark_sandbox.streams import Stream, default_streams

HIDDEN_MAX: Final = 1_000_000


class LiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """GET and PUT /_sandbox/settings; in a PUT, a field that is left out takes its default.

    latency_ms: how long every answer of the Postmark API waits. unsubscribe_handling: by stream.
    automatic_delivery: send a Delivery webhook for every recipient. The two limits are in bytes.
    webhook_retry_scale: the factor on Postmark's waits between attempts.
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] = 0.0
    automatic_delivery: bool = False
    unsubscribe_handling: dict[str, UnsubscribeHandling] = {}
    batch_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 50 * 1024 * 1024
    message_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 10 * 1024 * 1024
    webhook_retry_scale: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0


class Sandbox:
    """The state of one sandbox; created when the app starts, closed when it stops.

    `delivered_up_to` is the last message whose Delivery events were sent automatically; `accepted` is set
    whenever messages were logged.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.live = _initial(settings)
        self.streams: dict[str, Stream] = default_streams(settings.broadcast_unsubscribe)
        self.faults = FaultInjector()
        self.buffers = BufferPool()
        self._hidden_until: dict[int, float] = {}
        self.bounces = BounceList()
        self.message_events = MessageEvents()
        self.webhooks = WebhookSender(settings.webhook_retry_scale, settings.webhook_timeout_s)
        self.targets: list[Webhook] = _configured_targets(settings)
        self.accepted = asyncio.Event()
        self.delivered_up_to = 0
        if settings.data_dir is not None:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.log = MessageLog(settings.data_dir)

    def hidden_now(self) -> frozenset[int]:
        """The messages that the search must not show yet. Removes those whose lag is over."""
        if not self._hidden_until:
            return frozenset()
        now = time.monotonic()
        self._hidden_until = {sequence: until for sequence, until in self._hidden_until.items() if until > now}
        return frozenset(self._hidden_until)

    def hide(self, sequence: int, lag_s: float) -> None:
        """Hide a message from the search; beyond HIDDEN_MAX the oldest becomes visible early."""
        self._hidden_until[sequence] = time.monotonic() + lag_s
        if len(self._hidden_until) > HIDDEN_MAX:
            del self._hidden_until[next(iter(self._hidden_until))]

    def replace_faults(self, faults: FaultSet) -> None:
        """Replace the rules; search lag ends with its rule. Raises ValueError, changing nothing."""
        self.faults.replace(faults)
        self._hidden_until.clear()

    def shown_settings(self) -> LiveSettings:
        handling = {stream.id: stream.handling for stream in self.streams.values()}
        return msgspec.structs.replace(self.live, unsubscribe_handling=handling)

    def change_settings(self, wanted: LiveSettings) -> None:
        """Replace the settings. Raises ValueError for an unknown stream, changing nothing."""
        for stream_id in wanted.unsubscribe_handling:
            if stream_id not in self.streams:
                raise ValueError(f"no such stream: {stream_id}")
        for stream_id, handling in wanted.unsubscribe_handling.items():
            self.streams[stream_id].handling = handling
        if wanted.automatic_delivery and not self.live.automatic_delivery:
            self.delivered_up_to = len(self.log)
        self.webhooks.retry_scale = wanted.webhook_retry_scale
        self.live = msgspec.structs.replace(wanted, unsubscribe_handling={})

    def clear_messages(self) -> None:
        """Delete the messages, their events and their bounces; suppressions stay."""
        self.log.clear()
        self._hidden_until.clear()
        self.message_events.clear()
        self.bounces.clear()
        self.delivered_up_to = 0

    def reset(self) -> None:
        """Reset everything to the state at the start; waiting webhooks are cancelled."""
        self.clear_messages()
        self.replace_faults(FaultSet())
        self.streams = default_streams(self.settings.broadcast_unsubscribe)
        self.targets = _configured_targets(self.settings)
        self.webhooks.reset(self.settings.webhook_retry_scale)
        self.live = _initial(self.settings)

    def close(self) -> None:
        self.log.close()


def _initial(settings: SandboxSettings) -> LiveSettings:
    return LiveSettings(
        latency_ms=settings.latency_ms,
        automatic_delivery=settings.automatic_delivery,
        batch_bytes_max=settings.batch_bytes_max,
        message_bytes_max=settings.message_bytes_max,
        webhook_retry_scale=settings.webhook_retry_scale,
    )


def _configured_targets(settings: SandboxSettings) -> list[Webhook]:
    auth = None
    if settings.webhook_user is not None and settings.webhook_password is not None:
        auth = BasicAuth(username=settings.webhook_user, password=settings.webhook_password)
    return [
        Webhook(id=number, url=url, stream=None, auth=auth, headers=(), triggers=ALL_TRIGGERS)
        for number, url in enumerate(settings.webhook_urls, 1)
    ]
