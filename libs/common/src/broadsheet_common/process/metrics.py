"""Prometheus metrics that never raise into the work they measure.

A wrong value or label is counted in `metric_faults` and dropped: the measured work is not at fault.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import prometheus_client

P = ParamSpec("P")


class _Faults:
    count = 0


def metric_faults() -> int:
    """How often a metric could not be set in this process."""
    return _Faults.count


def _dropped_when_it_fails(method: Callable[P, None]) -> Callable[P, None]:
    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:  # noqa: BLE001  # every error is counted; the measured work goes on
            _Faults.count += 1

    return guarded


class _Nothing:
    """Replaces the series when the labels are invalid: accepts every call and does nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def _labels_or_nothing(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception:  # noqa: BLE001  # as above
            _Faults.count += 1
            return _Nothing()

    return guarded


class Counter(prometheus_client.Counter):
    inc = _dropped_when_it_fails(prometheus_client.Counter.inc)
    labels = _labels_or_nothing(prometheus_client.Counter.labels)


class Gauge(prometheus_client.Gauge):
    inc = _dropped_when_it_fails(prometheus_client.Gauge.inc)
    dec = _dropped_when_it_fails(prometheus_client.Gauge.dec)
    set = _dropped_when_it_fails(prometheus_client.Gauge.set)
    set_to_current_time = _dropped_when_it_fails(prometheus_client.Gauge.set_to_current_time)
    labels = _labels_or_nothing(prometheus_client.Gauge.labels)


class Histogram(prometheus_client.Histogram):
    observe = _dropped_when_it_fails(prometheus_client.Histogram.observe)
    labels = _labels_or_nothing(prometheus_client.Histogram.labels)
