"""The bounds on open streams, and what a stream gets that comes late for its news."""

import pytest

from broadsheet_common.http.problems import UnavailableError
from broadsheet_delivery.watching.dashboard_view import DashboardView
from broadsheet_delivery.watching.stream_states import StreamBounds, stream_states
from broadsheet_delivery.watching.watchers import (
    State,
    StreamsFullError,
    TooManyStreamsError,
    Watchers,
)

DASHBOARD = DashboardView(issues=None, deliveries=None, imports=None, webhooks=True, senders=True)
ENDLESS = StreamBounds(heart_beat_s=60.0, stream_max_s=600.0)


def state(name: str, *, is_final: bool = False) -> State:
    return State(name, f"id: {name}\ndata: {{}}\n\n".encode(), is_final)


def test_streams_are_bounded_in_all_and_for_each_caller_and_places_are_given_back() -> None:
    watchers = Watchers(watchers_max=3, per_caller_max=2)
    with watchers.watch(1, "key:1"), watchers.watch(1, "key:1"):
        with pytest.raises(TooManyStreamsError) as refused, watchers.watch(2, "key:1"):
            pass
        assert refused.value.headers["Retry-After"]
        with watchers.watch(2, "key:2"):
            with pytest.raises(StreamsFullError) as full, watchers.watch(DASHBOARD, "key:3"):
                pass
            assert full.value.headers["Retry-After"]
            assert len(watchers) == 3
            assert watchers.topics == frozenset({1, 2})
        with watchers.watch(DASHBOARD, "key:3"):
            assert watchers.topics == frozenset({1, DASHBOARD})
    assert (len(watchers), watchers.topics) == (0, frozenset())


async def test_a_watcher_that_comes_late_gets_the_newest_state_and_none_of_those_between() -> None:
    watchers = Watchers(watchers_max=10, per_caller_max=10)
    with watchers.watch(1, "key:1") as watcher:
        watchers.publish(1, state("first"))
        assert await watcher.first(1.0) == state("first")
        for number in range(100):
            watchers.publish(1, state(f"state {number}"))
        assert await watcher.next(1.0) == state("state 99")
        assert await watcher.next(0.0) is None


async def test_what_has_not_changed_is_no_news() -> None:
    watchers = Watchers(watchers_max=10, per_caller_max=10)
    with watchers.watch(1, "key:1") as watcher:
        watchers.publish(1, state("first"))
        await watcher.first(1.0)
        watchers.publish(1, state("first"))
        assert await watcher.next(0.0) is None


async def test_the_first_state_is_waited_for_with_a_bound_and_the_loop_is_woken_for_it() -> None:
    woken: list[bool] = []
    watchers = Watchers(watchers_max=10, per_caller_max=10, wake=lambda: woken.append(True))
    with watchers.watch(1, "key:1") as watcher:
        with pytest.raises(UnavailableError):
            await watcher.first(0.01)
        watchers.publish(1, state("first"))
        with watchers.watch(1, "key:2") as another:
            assert await another.first(0.01) == state("first")
    assert woken == [True]


async def test_who_comes_back_at_once_gets_the_dashboard_of_a_moment_ago_and_later_a_new_one() -> None:
    now_s = [100.0]
    watchers = Watchers(watchers_max=10, per_caller_max=10, monotonic_s=lambda: now_s[0])
    for topic in (DASHBOARD, 1):
        with watchers.watch(topic, "key:1"):
            watchers.publish(topic, state("first"))
    now_s[0] += 0.9
    with watchers.watch(DASHBOARD, "key:2") as watcher:
        assert await watcher.first(0.0) == state("first")
        watchers.publish(DASHBOARD, state("second"))
        assert await watcher.next(0.0) == state("second")
    # An issue may just have been paused by who comes back to it.
    with watchers.watch(1, "key:1") as watcher, pytest.raises(UnavailableError):
        await watcher.first(0.0)
    now_s[0] += 1.0
    with watchers.watch(DASHBOARD, "key:1") as watcher, pytest.raises(UnavailableError):
        await watcher.first(0.0)


async def test_a_stream_says_when_to_come_back_then_the_state_then_heart_beats() -> None:
    watchers = Watchers(watchers_max=1, per_caller_max=1)
    bounds = StreamBounds(heart_beat_s=0.001, stream_max_s=600.0)
    stream = stream_states(watchers, 1, "key:1", first=state("first"), had_id=None, bounds=bounds)
    assert await anext(stream) == b"retry: 2000\n\n"
    assert await anext(stream) == state("first").message
    assert await anext(stream) == b":\n\n"
    watchers.publish(1, state("second"))
    assert await anext(stream) == state("second").message
    await stream.aclose()
    assert len(watchers) == 0


async def test_a_client_that_comes_back_gets_no_event_twice() -> None:
    watchers = Watchers(watchers_max=1, per_caller_max=1)
    stream = stream_states(watchers, 1, "key:1", first=state("first"), had_id="first", bounds=ENDLESS)
    await anext(stream)
    task = anext(stream)
    watchers.close()  # nothing but the end is left to say
    assert (await task).startswith(b"retry: ") or (await anext(stream)).startswith(b"retry: ")
    await stream.aclose()


async def test_after_the_final_state_a_stream_ends_without_asking_anybody_back() -> None:
    watchers = Watchers(watchers_max=1, per_caller_max=1)
    first = state("last", is_final=True)
    stream = stream_states(watchers, 1, "key:1", first=first, had_id=None, bounds=ENDLESS)
    assert [message async for message in stream] == [b"retry: 2000\n\n", first.message]
    assert len(watchers) == 0


async def test_streams_end_in_order_when_the_process_is_told_to_stop_and_after_their_time() -> None:
    watchers = Watchers(watchers_max=2, per_caller_max=2)
    stream = stream_states(watchers, 1, "key:1", first=state("first"), had_id=None, bounds=ENDLESS)
    assert [await anext(stream), await anext(stream)] == [b"retry: 2000\n\n", state("first").message]
    brief = StreamBounds(heart_beat_s=60.0, stream_max_s=0.001)
    over = [m async for m in stream_states(watchers, 1, "key:1", first=state("a"), had_id="a", bounds=brief)]
    assert over[-1].startswith(b"retry: ")
    watchers.close()
    left = [message async for message in stream]
    assert left[-1].startswith(b"retry: ")
    assert len(watchers) == 0
    late = [m async for m in stream_states(watchers, 1, "key:1", first=state("a"), had_id=None, bounds=ENDLESS)]
    assert [m[:7] for m in late] == [b"retry: ", b"retry: "]


async def test_a_stream_ends_when_the_database_has_not_answered_for_long() -> None:
    now_s = [1000.0]
    watchers = Watchers(watchers_max=1, per_caller_max=1, monotonic_s=lambda: now_s[0])
    bounds = StreamBounds(heart_beat_s=0.001, stream_max_s=600.0)
    stream = stream_states(
        watchers, 1, "key:1", first=state("a"), had_id=None, bounds=bounds, monotonic_s=lambda: now_s[0]
    )
    for _ in range(3):
        await anext(stream)
    watchers.publish(1, state("a"))
    now_s[0] += 29.0
    assert await anext(stream) == b":\n\n"
    now_s[0] += 2.0
    assert (await anext(stream)).startswith(b"retry: ")
