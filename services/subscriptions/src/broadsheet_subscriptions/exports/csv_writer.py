"""CSV for spreadsheets and for our own import. Pure: CRLF line ends, quotes where needed, and no cell that a
spreadsheet would run as a formula.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from broadsheet_subscriptions.subscribers.spreadsheet_cell import neutralise


def csv_line(cells: Sequence[str]) -> str:
    return csv_lines([cells])


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows([neutralise(cell) for cell in row] for row in rows)
    return buffer.getvalue()
