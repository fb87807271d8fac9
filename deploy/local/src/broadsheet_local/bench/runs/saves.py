"""`bench save`: how long a save of a draft takes, as an editor saves it every few seconds."""

import os

from broadsheet_local.bench.inputs.author import Author
from broadsheet_local.bench.inputs.issue_body import make_issue
from broadsheet_local.bench.measuring.claim_log import percentile
from broadsheet_local.bench.measuring.database import connected
from broadsheet_local.bench.measuring.figures import SaveFigures
from broadsheet_local.supervision.supervisor import Say
from broadsheet_local.system import LocalSystem

_SAVED = "SELECT version, length(content) FROM publishing.issue WHERE id = %s"


async def measure_saves(system: LocalSystem, content_kb: int, saves: int, say: Say) -> SaveFigures:
    """One draft, saved again and again through the gateway with another content each time."""
    load_before = round(os.getloadavg()[0], 2)
    author = Author(system.addresses.gateway_url, system.credentials.api_key)
    content = changed = make_issue(content_kb).html
    times_ms = []
    try:
        issue_id = await author.write(make_issue(1))
        say(f"saving {content_kb} KB {saves} times")
        for number in range(saves):
            changed = f"{content}<!-- {number:08} -->"
            times_ms.append(await author.save(issue_id, changed))
    finally:
        await author.aclose()
    with connected(system.database_url) as connection:
        saved = connection.execute(_SAVED, (issue_id,)).fetchone()
    return SaveFigures(
        content_kb=content_kb,
        saves=saves,
        ms_p50=round(percentile(times_ms, 50), 1),
        ms_p99=round(percentile(times_ms, 99), 1),
        ms_longest=round(max(times_ms), 1),
        processors=os.cpu_count() or 1,
        load_before=load_before,
        is_whole=saved == (saves + 1, len(changed)),
    )
