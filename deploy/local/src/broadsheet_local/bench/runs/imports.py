"""`bench import`: a file of people through the gateway, from the job's start to its end, and out again by an export."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
from httpx_aiohttp import HttpxAiohttpClient

from broadsheet_local.bench.inputs.import_file import ExpectedCounts, write_import_file
from broadsheet_local.bench.measuring.database import connected, wal_position_bytes
from broadsheet_local.bench.measuring.figures import Memory
from broadsheet_local.bench.measuring.processes import ProcessMeter
from broadsheet_local.demo.people import expect
from broadsheet_local.demo.progress import Phase, Phases
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

POLL_S = 0.5
# As docs/operating/people.md advises: with 4 MB, the default for 128 MB of shared_buffers, the two lanes of an import
# wait for each other's log.
POSTGRES_SETTINGS = {"wal_buffers": "32MB"}
TIMEOUT_S = 60.0
PIECE_BYTES = 1024 * 1024
ATTRIBUTES = """
INSERT INTO subscriptions.attribute (name, type, label) VALUES ('city', 'text', 'City'), ('age', 'number', 'Age')
"""
# The oracle: what the tables hold, not what the job reports.
STORED = """
SELECT (SELECT count(*) FROM subscriptions.subscriber
         WHERE attributes ?& ARRAY['city', 'age'] AND cardinality(tags) = 1),
       (SELECT count(*) FROM subscriptions.subscription WHERE state = 'confirmed' AND import_id = %(import_id)s),
       (SELECT count(*) FROM subscriptions.import_reject WHERE import_id = %(import_id)s)
"""
TIMES = "SELECT extract(epoch FROM finished_at - started_at)::float8 FROM subscriptions.import_job WHERE id = %s"


class ImportFigures(msgspec.Struct, frozen=True):
    """`is_whole`: the database holds exactly what the generated file implies, and the export contains all of it."""

    rows: int
    file_mb: float
    upload_seconds: float
    import_seconds: float
    rows_per_s: float
    created: int
    rejected: int
    is_whole: bool
    rss_mb: float
    rss_mb_by_process: dict[str, Memory]
    cpu_us_per_row: dict[str, float]
    wal_bytes_per_row: float
    export_seconds: float
    export_rows_per_s: float
    export_rss_mb: dict[str, Memory]


class _Counts(msgspec.Struct):
    rows: int
    created: int
    rejected: int


class _Import(msgspec.Struct):
    id: int
    status: str
    status_reason: str | None
    counts: _Counts


async def measure_import(system: LocalSystem, rows: int, say: Say) -> ImportFigures:
    """Needs a running system. Raises LaunchError when a measurement is not valid."""
    path = system.folder.logs.parent / "people.csv"
    say(f"writing a file of {rows:,} rows")
    expected = await in_thread(lambda: write_import_file(path, rows))
    with connected(system.database_url) as connection:
        connection.execute(ATTRIBUTES)
    headers = {"Authorization": f"Bearer {system.credentials.api_key}"}
    async with HttpxAiohttpClient(
        base_url=system.addresses.gateway_url, headers=headers, timeout=TIMEOUT_S, trust_env=False
    ) as client:
        with Phases(say) as phases:
            phase = phases.phase("Import", rows, system.folder.log_path("subscriptions"))
            return await _measure(system, client, path, expected, phase, rows)


async def _measure(
    system: LocalSystem,
    client: httpx.AsyncClient,
    path: Path,
    expected: ExpectedCounts,
    phase: Phase,
    rows: int,
) -> ImportFigures:
    wal_before_bytes = await in_thread(lambda: wal_position_bytes(system.database_url))
    async with ProcessMeter(system.process_ids()) as meter:
        began_s = time.monotonic()
        answer = await client.post(
            "/api/v1/imports",
            params={"consent_basis": "A benchmark", "state": "confirmed"},
            content=_content(path),
            headers={"Content-Type": "text/csv"},
        )
        expect(answer, httpx.codes.ACCEPTED, "uploading the file")
        upload_s = time.monotonic() - began_s
        found = msgspec.json.decode(answer.content, type=_Import)
        while found.status in {"queued", "running"}:
            await asyncio.sleep(POLL_S)
            answer = await client.get(f"/api/v1/imports/{found.id}")
            expect(answer, httpx.codes.OK, "reading the import")
            found = msgspec.json.decode(answer.content, type=_Import)
            phase.update(found.counts.rows, waiting_for="rows to be stored")
    if found.status != "done":
        raise LaunchError(f"the import is {found.status}: {found.status_reason}")
    wal_after_bytes = await in_thread(lambda: wal_position_bytes(system.database_url))
    with connected(system.database_url) as connection:
        stored = connection.execute(STORED, {"import_id": found.id}).fetchone()
        times = connection.execute(TIMES, (found.id,)).fetchone()
    assert times is not None
    async with ProcessMeter(system.process_ids()) as export_meter:
        began_s = time.monotonic()
        lines = await _export(client)
        export_s = time.monotonic() - began_s
    seconds = float(times[0])
    by_process = {
        name: Memory(round(use.rss_mb_start), round(use.rss_mb_peak), round(use.rss_mb_end))
        for name, use in meter.uses.items()
        if name in {"gateway", "subscriptions", "postgres"}
    }
    return ImportFigures(
        rows=rows,
        file_mb=round(expected.file_bytes / 1e6, 1),
        upload_seconds=round(upload_s, 2),
        import_seconds=round(seconds, 2),
        rows_per_s=round(rows / seconds),
        created=found.counts.created,
        rejected=found.counts.rejected,
        is_whole=(
            stored == (expected.created, expected.created, expected.rejected)
            and (found.counts.created, found.counts.rejected) == (expected.created, expected.rejected)
            and lines == expected.created + 1
        ),
        rss_mb=by_process["subscriptions"].peak,
        rss_mb_by_process=by_process,
        cpu_us_per_row={name: round(use.cpu_s / rows * 1e6, 1) for name, use in meter.uses.items()},
        wal_bytes_per_row=round((wal_after_bytes - wal_before_bytes) / rows),
        export_seconds=round(export_s, 2),
        export_rows_per_s=round((lines - 1) / export_s),
        export_rss_mb={
            name: Memory(round(use.rss_mb_start), round(use.rss_mb_peak), round(use.rss_mb_end))
            for name, use in export_meter.uses.items()
            if name in {"gateway", "subscriptions"}
        },
    )


async def _content(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await in_thread(lambda: file.read(PIECE_BYTES)):
            yield piece


async def _export(client: httpx.AsyncClient) -> int:
    """The number of lines: no cell of the benchmark's file holds a line break."""
    lines = 0
    async with client.stream("GET", "/api/v1/exports/subscribers", params={"newsletter_id": 1}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise LaunchError(f"the export answered {answer.status_code}")
        async for piece in answer.aiter_bytes():
            lines += piece.count(b"\n")
    return lines
