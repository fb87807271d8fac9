"""Everything one running sandbox holds, and the settings that may change while it runs."""

import tempfile
import uuid
from pathlib import Path
from typing import Annotated

import msgspec

from .inject_faults import FaultInjector
from .message_log import MessageLog
from .read_body import BufferPool
from .settings import SandboxSettings, UnsubscribeHandling
from .streams import Stream, default_streams


class LiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """GET and PUT /_sandbox/settings; in a PUT what is left out takes its default.

    latency_ms: how long every answer of the Postmark API waits. unsubscribe_handling: by stream.
    automatic_delivery: send a Delivery webhook for every recipient. The two limits are in bytes.
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] = 0.0
    automatic_delivery: bool = False
    unsubscribe_handling: dict[str, UnsubscribeHandling] = {}
    batch_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 50 * 1024 * 1024
    message_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 10 * 1024 * 1024


class Sandbox:
    """The state of one sandbox; made when the app starts, closed when it stops."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.live = LiveSettings(
            latency_ms=settings.latency_ms,
            batch_bytes_max=settings.batch_bytes_max,
            message_bytes_max=settings.message_bytes_max,
        )
        self.streams: dict[str, Stream] = default_streams(settings.broadcast_unsubscribe)
        self.faults = FaultInjector()
        self.buffers = BufferPool()
        self.hidden_until: dict[int, float] = {}
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if settings.data_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="postmark-sandbox-")
            folder = Path(self._temporary.name)
        else:
            folder = settings.data_dir
            folder.mkdir(parents=True, exist_ok=True)
        # A name of its own, so that two sandboxes in one folder cannot write into each other's log.
        self.log = MessageLog(folder / f"messages-{uuid.uuid4().hex}.zst")

    def shown_settings(self) -> LiveSettings:
        handling = {stream.id: stream.handling for stream in self.streams.values()}
        return msgspec.structs.replace(self.live, unsubscribe_handling=handling)

    def change_settings(self, wanted: LiveSettings) -> None:
        """Put other settings in force; raises ValueError for an unknown stream, changing nothing."""
        for stream_id in wanted.unsubscribe_handling:
            if stream_id not in self.streams:
                raise ValueError(f"no such stream: {stream_id}")
        for stream_id, handling in wanted.unsubscribe_handling.items():
            self.streams[stream_id].handling = handling
        self.live = msgspec.structs.replace(wanted, unsubscribe_handling={})

    def clear_messages(self) -> None:
        self.log.clear()
        self.hidden_until.clear()

    def close(self) -> None:
        self.log.close()
        if self._temporary is not None:
            self._temporary.cleanup()
