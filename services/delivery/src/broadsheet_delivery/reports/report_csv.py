"""A report as CSV: one figure a line, for spreadsheets. Pure.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a CR as a formula, so an apostrophe is put
before it. A link's text comes from outside.
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from broadsheet_delivery.reports.issue_report import OTHER, Engagement, IssueReport
from broadsheet_delivery.reports.newsletter_engagement import NewsletterEngagement

NOT_MEASURED: Final = "not measured"
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_COLUMNS: Final = ("section", "of", "figure", "value")

Line = tuple[str, str, str, object]


def issue_report_csv(report: IssueReport) -> str:
    """The columns are `section`, `of` (which variant, domain, link or stretch of time), `figure` and `value`."""
    return _write(_COLUMNS, _lines(report))


def engagement_csv(engagement: NewsletterEngagement) -> str:
    """One issue a line."""
    lines: list[tuple[object, ...]] = []
    for one in engagement.issues:
        measured = {
            f"{name}_{figure}": value
            for name, block in (("opens", one.opens), ("clicks", one.clicks))
            for figure, value in msgspec.structs.asdict(block).items()
            if figure != "measured"
        }
        rates = {f"rate_{name}": value for name, value in msgspec.structs.asdict(one.rates).items()}
        flat = {
            "issue_id": one.issue_id,
            "published_at": one.published_at,
            "as_of": one.as_of,
            "accepted": one.accepted,
            "delivered": one.delivered,
            "bounced": one.bounced,
            "complaints": one.complaints,
            "unsubscribes": one.unsubscribes,
            **measured,
            **rates,
        }
        if not lines:
            lines.append(tuple(flat))
        lines.append(tuple(flat.values()))
    return _write(tuple(map(str, lines[0])) if lines else ("issue_id",), lines[1:])


def _lines(report: IssueReport) -> Iterable[Line]:
    yield "issue", "", "issue_id", report.issue_id
    yield "issue", "", "published_at", report.published_at
    yield "issue", "", "as_of", report.as_of
    yield "issue", "", "waiting", report.waiting
    yield "issue", "", "time_zone", report.time_zone
    for name, value in msgspec.structs.asdict(report.counts).items():
        yield "counts", "", name, value
    yield "issue", "", "delivered", report.delivered
    yield "issue", "", "complaints", report.complaints
    yield "issue", "", "unsubscribes", report.unsubscribes
    for name in ("total", "hard", "soft", "other"):
        yield "bounces", "", name, getattr(report.bounces, name)
    for bounce in report.bounces.by_type:
        yield "bounces", bounce.type, "recipients", bounce.recipients
    yield from _engagement("opens", report.opens)
    yield from _engagement("clicks", report.clicks)
    for name, value in msgspec.structs.asdict(report.rates).items():
        yield "rates", "", name, value
    for stretch in report.over_time:
        yield from _figures("time", stretch.begins_at.isoformat(), stretch)
    for link in report.links:
        yield from _figures("link", OTHER if link.url is None else link.url, link)
    for variant in report.variants:
        yield from _figures("variant", str(variant.variant), variant)
    for domain in report.domains:
        yield from _figures("domain", OTHER if domain.domain is None else domain.domain, domain)


def _engagement(section: str, engagement: Engagement) -> Iterable[Line]:
    for name, value in msgspec.structs.asdict(engagement).items():
        yield section, "", name, NOT_MEASURED if value is None else value


def _figures(section: str, of: str, figures: msgspec.Struct) -> Iterable[Line]:
    for name, value in msgspec.structs.asdict(figures).items():
        if isinstance(value, int) and name != section:
            yield section, of, name, value


def _write(columns: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_cell(value) for value in line])
    return text.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return NOT_MEASURED
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case str():
            return f"'{value}" if _FORMULA.match(value) else value
        case _:
            return str(value)
