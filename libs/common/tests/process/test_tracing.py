"""Trace context: continued when it is well-formed, begun anew when not."""

import pytest

from broadsheet_common.process.tracing import start_trace

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_is_continued_in_a_new_span() -> None:
    trace = start_trace(GIVEN, "request-1")
    assert trace.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace.span_id != "00f067aa0ba902b7"
    assert trace.request_id == "request-1"
    assert start_trace(trace.child().traceparent, None).trace_id == trace.trace_id


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "x",
        GIVEN.upper(),
        GIVEN[:-1],
        GIVEN + "0",
        GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
    ],
)
def test_a_malformed_one_starts_a_new_trace(given: str | None) -> None:
    trace = start_trace(given, None)
    assert trace.trace_id != "0" * 32
    assert len(trace.trace_id) == 32


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "line\nbreak", "é"])
def test_a_request_id_that_could_forge_a_log_line_is_replaced(given: str) -> None:
    assert start_trace(None, given).request_id != given
