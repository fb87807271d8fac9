"""The pure parts of a report: stretches of time, names of links, rates, CSV."""

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.reports.issue_report import Counts, Figure, IssueReport, IssueState, make_report, rate
from broadsheet_delivery.reports.link_name import LINK_LENGTH_MAX, name_of_link
from broadsheet_delivery.reports.report_csv import issue_report_csv
from broadsheet_delivery.reports.time_buckets import DAYS_MAX, HOURS, bucket_end, bucket_of

PUBLISHED = datetime(2026, 3, 27, 22, 40, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        ("2026-03-27T22:00:00Z", "2026-03-27T22:00:00Z", "2026-03-27T23:00:00Z"),
        ("2026-03-27T01:00:00Z", "2026-03-27T22:00:00Z", "2026-03-27T23:00:00Z"),
        ("2026-03-30T21:59:59Z", "2026-03-30T21:00:00Z", "2026-03-30T22:00:00Z"),
        # The first day is what the hours leave of it.
        ("2026-03-30T22:00:00Z", "2026-03-30T22:00:00Z", "2026-03-31T00:00:00Z"),
        ("2026-03-31T12:00:00Z", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"),
        # Whatever zone a moment is written in, and on the day on which clocks change in Europe.
        ("2026-03-29T03:30:00+02:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        # After a year all is in one day.
        ("2036-01-01T00:00:00Z", "2027-03-31T00:00:00Z", "2027-04-01T00:00:00Z"),
    ],
)
def test_a_moment_is_counted_in_its_hour_and_after_three_days_in_its_day_in_utc(
    moment: str, begins: str, ends: str
) -> None:
    found = bucket_of(PUBLISHED, datetime.fromisoformat(moment))
    assert found == datetime.fromisoformat(begins)
    assert bucket_end(PUBLISHED, found) == datetime.fromisoformat(ends)


@given(st.lists(st.integers(-10_000, 80_000_000), max_size=20))
def test_stretches_of_time_do_not_overlap_and_are_bounded(seconds: list[int]) -> None:
    begins = sorted({bucket_of(PUBLISHED, PUBLISHED + timedelta(seconds=one)) for one in seconds})
    for first, second in pairwise(begins):
        assert bucket_end(PUBLISHED, first) <= second
    assert len(begins) <= HOURS + DAYS_MAX + 1


@pytest.mark.parametrize(
    ("shared", "link", "name"),
    [
        ("https://example.com/?utm_source=a", "https://example.com/?[query]", "https://example.com/?utm_source=a"),
        (None, "https://example.com/?[query]", "https://example.com/?[query]"),
        (None, "https://news.example.com/unsubscribe/34~[token]", "(unsubscribe)"),
        (None, "https://news.example.com/unsubscribe/[token]/choices?[query]", "(unsubscribe)"),
        (None, "https://news.example.com/preferences/[token]", "(preferences)"),
        (None, "https://example.com/unsubscribe/how-to", "https://example.com/unsubscribe/how-to"),
        (None, None, "(unknown)"),
        ("x" * 900, None, "x" * LINK_LENGTH_MAX),
    ],
)
def test_a_link_is_named_without_what_is_one_persons(shared: str | None, link: str | None, name: str) -> None:
    assert name_of_link(shared, link) == name


def _report(figures: list[Figure], *, tracks: bool = True, accepted: int = 10) -> IssueReport:
    counts = Counts(accepted, 0, 0, accepted, 0, 0, 0, 0, 0)
    state = IssueState(1, 1, PUBLISHED, PUBLISHED, tracks, tracks, None, 0, older_events_wait=False, counts=counts)
    return make_report(state, figures)


def _variant(**figures: int) -> list[Figure]:
    return [Figure("variant", name, "1", count) for name, count in figures.items()]


def test_what_was_not_tracked_is_not_measured_and_never_nought() -> None:
    report = _report(_variant(delivered=5, delivery_reported=5), tracks=False)
    assert (report.opens.measured, report.opens.unique, report.opens.total) == (False, None, None)
    assert (report.rates.opened, report.rates.clicked) == (None, None)
    assert report.rates.unsubscribed == 0.0
    lines = list(csv.DictReader(io.StringIO(issue_report_csv(report))))
    assert {line["value"] for line in lines if line["section"] == "opens"} == {"false", "not measured"}


def test_what_was_tracked_and_did_not_happen_is_nought() -> None:
    report = _report(_variant(delivered=5, delivery_reported=5))
    assert (report.opens.measured, report.opens.unique, report.rates.opened) == (True, 0, 0.0)


def test_opens_that_came_were_measured_whatever_the_mails_asked_for() -> None:
    report = _report(_variant(delivered=5, delivery_reported=5, opened=1, opens=3, machine_opens=1), tracks=False)
    assert (report.opens.measured, report.opens.total, report.opens.machine) == (True, 3, 1)


def test_rates_are_of_the_accepted_where_no_delivery_was_reported() -> None:
    report = _report(_variant(delivered=2, opened=2, opens=9, opened_by_reader=1))
    assert (report.rates.of, report.rates.opened, report.rates.opened_without_machines) == ("accepted", 0.2, 0.1)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_no_rate_is_over_one_and_nothing_is_divided_by_nought(part: int, whole: int) -> None:
    found = rate(part, whole)
    assert (found is None) == (whole == 0)
    assert found is None or 0.0 <= found <= 1.0


def test_the_domains_that_are_not_shown_are_summed() -> None:
    figures = [
        *_variant(recipients=10, opened=6, delivered=9),
        Figure("domain", "recipients", "2", 7, "b.example"),
        Figure("domain", "opened", "2", 4, "b.example"),
        Figure("domain", "recipients", "1", 2, "a.example"),
    ]
    shown = [(one.domain, one.recipients, one.opened) for one in _report(figures).domains]
    assert shown == [("b.example", 7, 4), ("a.example", 2, 0), (None, 1, 2)]


def test_a_cell_of_a_csv_that_a_spreadsheet_would_run_is_text() -> None:
    figures = [Figure("link", "clicked", "1", 1, "=HYPERLINK(1)"), *_variant(clicked=1, clicks=1, delivered=1)]
    lines = list(csv.DictReader(io.StringIO(issue_report_csv(_report(figures)))))
    assert {line["of"] for line in lines if line["section"] == "link"} == {"'=HYPERLINK(1)"}
