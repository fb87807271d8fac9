"""The messages of one stream: the state of now, each newer one, heart-beats, and an orderly end."""

import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec

from broadsheet_common.event_streams.messages import HEART_BEAT, SILENCE_MAX_S, beginning, orderly_end
from broadsheet_delivery.watching.watchers import (
    State,
    StreamsFullError,
    TooManyStreamsError,
    Topic,
    Watcher,
    Watchers,
)

FIRST_STATE_S: Final = 5.0
"""Longest wait for the first state, before the answer begins."""
STALE_S: Final = SILENCE_MAX_S
"""When the database has not answered for so long, a stream ends rather than show old figures as if they were new."""


class StreamBounds(msgspec.Struct, frozen=True):
    """In seconds: the longest silence, and the longest stream."""

    heart_beat_s: float
    stream_max_s: float


async def read_first(watchers: Watchers, topic: Topic, caller: str) -> State | None:
    """The state with which a stream begins; None: there is no such issue.

    Raises:
        StreamsFullError, TooManyStreamsError: no place is free.
        UnavailableError: the database does not answer.
    """
    with watchers.watch(topic, caller) as watcher:
        return await watcher.first(FIRST_STATE_S)


async def stream_states(
    watchers: Watchers,
    topic: Topic,
    caller: str,
    *,
    first: State,
    had_id: str | None,
    bounds: StreamBounds,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[bytes]:
    """`had_id` is the state that the client has seen already. The place is held while the generator runs."""
    yield beginning()
    try:
        with watchers.watch(topic, caller) as watcher:
            ends_at_s = monotonic_s() + bounds.stream_max_s
            began_at_s = monotonic_s()
            had = first if first.id == had_id else None
            state: State | None = first
            while not watchers.is_closed and monotonic_s() < ends_at_s:
                if state is not None and state != had:
                    yield state.message
                    had = state
                    if state.is_final:
                        return
                if _is_stale(watcher, began_at_s, monotonic_s()):
                    break
                state = await watcher.next(min(bounds.heart_beat_s, max(0.0, ends_at_s - monotonic_s())))
                if state is None:
                    yield HEART_BEAT
    except (StreamsFullError, TooManyStreamsError):
        pass  # the last place was taken between the two steps: the client comes back, and is told
    yield orderly_end()


def _is_stale(watcher: Watcher, began_at_s: float, now_s: float) -> bool:
    return now_s - max(watcher.read_at_s, began_at_s) > STALE_S
