"""The benchmark's own parts: the content, percentiles, the claims' log, processes, and what a run must say."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.mail.mail_template import parse
from broadsheet_common.mail.merge_fields import SAMPLE_VALUES
from broadsheet_local.__main__ import parser
from broadsheet_local.bench.inputs.issue_body import BYTES_PER_KB, make_issue
from broadsheet_local.bench.inputs.visitors import Repeated, SignUps
from broadsheet_local.bench.measuring.claim_log import claim_times, percentile, read_claims
from broadsheet_local.bench.measuring.figures import cpu_us_per_email
from broadsheet_local.bench.measuring.http_load import LoadFigures, offer_load, raw_request
from broadsheet_local.bench.measuring.processes import ProcessMeter, ProcessUse
from broadsheet_local.bench.runs.render import measure_render
from broadsheet_local.errors import LaunchError


@pytest.mark.parametrize("body_kb", [1, 10, 200])
def test_the_issue_has_the_length_asked_for_and_the_usual_merge_fields(body_kb: int) -> None:
    issue = make_issue(body_kb)
    assert body_kb * BYTES_PER_KB <= len(issue.html.encode()) < body_kb * BYTES_PER_KB + 300
    rendered = parse(issue.html, "html")
    assert rendered.variables == {
        "subscriber.name", "subscriber.email", "newsletter.name", "issue.title", "unsubscribe_url",
    }  # fmt: skip
    assert rendered.unknown_variables == ()
    assert SAMPLE_VALUES.unsubscribe_url in rendered.render(SAMPLE_VALUES)
    assert SAMPLE_VALUES.unsubscribe_url in parse(issue.text, "text").render(SAMPLE_VALUES)


def test_the_bench_of_rendering_makes_the_mails_that_it_times() -> None:
    figures = measure_render(body_kb=1, mails=20, rounds=2, say=lambda _: None)
    assert figures.is_whole
    assert (figures.mails, figures.rounds, figures.body_kb) == (20, 2, 1)
    assert figures.html_per_s > 0
    assert figures.mails_per_s > 0


@given(st.lists(st.floats(0, 1000), min_size=1), st.sampled_from([1, 50, 99, 100]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_claims_are_read_in_order_across_logs_and_for_one_issue_only(tmp_path: Path) -> None:
    def line(second: int, issue_id: int, claim_ms: float) -> str:
        return json.dumps({
            "event": "delivery.chunk_claimed", "timestamp": f"2026-01-01T00:00:{second:02}Z",
            "issue_id": issue_id, "chunk_id": 1, "claim_ms": claim_ms, "level": "debug",
        })  # fmt: skip

    first, second = tmp_path / "delivery-1.log", tmp_path / "delivery-2.log"
    first.write_text("\n".join([line(1, 7, 1.5), "not json", line(4, 7, 4.0), line(2, 8, 99.0)]))
    second.write_text(line(3, 7, 3.0) + "\n")
    claims_ms = read_claims([first, second], 7)
    assert claims_ms == [1.5, 3.0, 4.0]
    times = claim_times(claims_ms)
    assert times is not None
    assert (times.claims, times.p50, times.p99) == (3, 3.0, 4.0)
    assert claim_times([]) is None


def test_processor_time_is_summed_over_replicas_and_in_all() -> None:
    def use(cpu_s: float) -> ProcessUse:
        return ProcessUse(cpu_s, 1.0, 2.0, 1.5)

    uses = {"delivery-1": use(1.0), "delivery-12": use(2.0), "postgres": use(0.5)}
    assert cpu_us_per_email(uses, 100_000) == {"delivery": 30.0, "postgres": 5.0, "total": 35.0}


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_the_meter_sees_what_a_process_uses() -> None:
    with python("import sys\nfor _ in sys.stdin:\n    sum(range(3_000_000))\n    print(flush=True)") as busy:
        assert busy.stdin is not None
        assert busy.stdout is not None
        async with ProcessMeter({"busy": busy.pid}) as meter:
            busy.stdin.write("\n")
            busy.stdin.flush()
            busy.stdout.readline()
        busy.stdin.close()
    assert meter.uses["busy"].cpu_s > 0
    assert 0 < meter.uses["busy"].rss_mb_start <= meter.uses["busy"].rss_mb_peak
    assert set(meter.uses) == {"busy", "bench"}


async def test_the_meter_counts_what_descends_from_a_process() -> None:
    large = "held = bytearray(b'x' * 80_000_000); print(flush=True); input()"
    starts = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}])"
    with python(starts.format(starts.format(large))) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        async with ProcessMeter({"parent": parent.pid}) as meter:
            pass
        parent.stdin.write("\n")
        parent.stdin.close()
    assert meter.uses["parent"].rss_mb_start > 80
    assert meter.uses["parent"].rss_mb_end > 80


async def test_a_process_that_ended_makes_the_measurement_worthless() -> None:
    with python("input()") as ended:
        meter = ProcessMeter({"short-lived": ended.pid})
        with pytest.raises(LaunchError, match="short-lived ended during the measurement"):
            async with meter:
                ended.communicate("\n", timeout=30)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bench"], "required: kind"),
        (["bench", "delivery", "--recipients", "0"], "0 is not between 1 and 1000000"),
        (["bench", "delivery", "--latency-ms", "9000"], "9000 is not between 0 and 8000"),
        (["bench", "scaling", "--replicas", "1,zwei"], "'zwei' is not a whole number"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.process
def test_a_small_list_is_measured_and_every_answer_is_right() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "broadsheet_local", "bench", "subscribers", "--json", "--subscribers", "9000",
            "--requests", "10", "--counts", "1",
        ],
        capture_output=True, check=False, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["subscribers"], figures["wrong_answers"]) == (9000, 0)
    assert figures["page_ms"]["newest"]["requests"] >= 10
    assert figures["segment_count_ms"]["all_of_it"]["requests"] == 1


@pytest.mark.process
def test_a_small_benchmark_comes_to_its_figures() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "broadsheet_local", "bench", "delivery", "--json", "--recipients", "1200",
            "--replicas", "1", "--latency-ms", "600", "--pinned-xmin",
        ],
        capture_output=True, check=False, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["missing"], figures["duplicates"], figures["failed"]) == (0, 0, 0)
    assert figures["first_mail_seconds"] >= 0.6
    assert figures["first_mail_seconds"] <= figures["last_mail_seconds"]
    assert figures["claim_ms_first_tenth"]["claims"] == 1
    assert figures["plain"]["mails"] == 1200
    assert figures["original"]["mails"] == 9
    assert figures["pinned_xmin"]["missing"] == 0
    assert figures["wal_bytes_per_email"] > 100
    assert figures["cpu_us_per_email"]["delivery"] > 0


class Door(asyncio.Protocol):
    """A server that answers every request with the next status of its list, and with the request's number of bytes."""

    def __init__(self, statuses: Iterator[int], *, closes: bool) -> None:
        self._statuses = statuses
        self._closes = closes
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        body = str(len(data)).encode()
        closing = b"connection: close\r\n" if self._closes else b""
        head = b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n" % (next(self._statuses), closing, len(body))
        self._transport.write(head[:20])  # an answer may come in pieces
        self._transport.write(head[20:] + body)
        if self._closes:
            self._transport.close()


async def load_on_a_door(
    statuses: list[int], *, rate_per_s: float | None, closes: bool = False
) -> tuple[LoadFigures, Repeated]:
    request = raw_request("GET", "/", host="x")
    work = Repeated("page", [request], check=lambda _, body: body == str(len(request)).encode())
    loop = asyncio.get_running_loop()
    endless = itertools.cycle(statuses)
    doors: list[Door] = []

    def open_door() -> Door:
        doors.append(Door(endless, closes=closes))
        return doors[-1]

    server = await loop.create_server(open_door, "127.0.0.1", 0)
    async with server:
        url = server.sockets[0].getsockname()
        offer = partial(offer_load, work, url=url, connections=2, rate_per_s=rate_per_s, seconds=0.5)
        figures = await asyncio.to_thread(offer)
        # The load has closed its ends; the loop may stand still after the test, and these would stay open.
        await asyncio.gather(*(door.lost.wait() for door in doors))
    return figures, work


async def test_an_open_loop_asks_as_often_as_was_said_and_sorts_the_answers() -> None:
    figures, work = await load_on_a_door([200, 200, 503, 500], rate_per_s=80)
    page = figures.kinds["page"]
    assert (page.asked, page.refused, page.wrong, work.right) == (40, 10, 10, 20)
    assert 0 < page.ms_p50 <= page.ms_p99 <= page.ms_max


async def test_without_a_rate_every_connection_asks_again_and_each_request_is_answered_once() -> None:
    figures, work = await load_on_a_door([200], rate_per_s=None)
    page = figures.kinds["page"]
    assert page.asked == work.right > 2
    assert page.wrong == page.refused == 0


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    figures, work = await load_on_a_door([200], rate_per_s=40, closes=True)
    assert figures.kinds["page"].asked == work.right == 20


def test_people_at_the_form_send_the_ticket_of_a_page_and_remember_who_was_answered() -> None:
    people = SignUps("x", run="a", with_pages=True)
    kind, number, request = people.request()
    assert (kind, request.split(b" ")[:2]) == ("page", [b"GET", b"/"])
    assert not people.answered(kind, number, 200, b"no form")
    assert people.answered(kind, number, 200, b'<input name="form_ticket" value="1.ab">')
    kind, number, request = people.request()
    assert (kind, request.split(b" ")[:2]) == ("sign_up", [b"POST", b"/subscriptions"])
    assert request.endswith(b"&form_ticket=1.ab")
    assert b"email=a-0000001%40example.com" in request
    assert people.answered(kind, number, 200, b"Check your inbox")
    assert people.request()[0] == "page"
    kind, number, _ = people.request()
    assert not people.answered(kind, number, 200, b"another page")
    assert not people.answered(kind, number, 503, b"Check your inbox")
    assert people.acknowledged == ["a-0000001@example.com"]


def test_the_loads_of_the_gateway_can_be_chosen() -> None:
    assert parser().parse_args(["bench", "gateway", "--only", "read,webhook"]).only == ("read", "webhook")
    with pytest.raises(SystemExit):
        parser().parse_args(["bench", "gateway", "--only", "everything"])
