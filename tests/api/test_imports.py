"""`/api/v1/imports` and `/api/v1/exports` through the gateway: a file larger than other bodies may be, in and out."""

from typing import Any

from harness.system import System
from harness.waiting import eventually

IMPORTS = "/api/v1/imports"
READERS = 2_200
CSV = {"Content-Type": "text/csv"}


def _file() -> bytes:
    """More than the 10 MiB that other bodies may have."""
    lines = [f"reader-{number:04}@example.com,Reader {number},{'x' * 5_000}" for number in range(READERS)]
    return "\n".join(["email,name,padding", *lines, "nobody,Nobody,x"]).encode()


async def _ended(system: System, import_id: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        found.update((await system.api.get(f"{IMPORTS}/{import_id}")).json())
        return found["status"] in {"done", "failed", "undone"}

    await eventually(is_over, within_s=60, what="the import ends")
    return found


async def test_a_large_file_comes_in_goes_out_and_can_be_taken_back(system: System) -> None:
    query = {"consent_basis": "They asked for it.", "state": "confirmed"}
    answer = await system.api.post(IMPORTS, content=_file(), params=query, headers=CSV)
    assert answer.status_code == 202, answer.text
    import_id = answer.json()["id"]
    found = await _ended(system, import_id)
    assert (found["status"], found["counts"]["created"], found["counts"]["rejected"]) == ("done", READERS, 1)
    assert found["file"]["bytes"] == len(_file())
    rejects = (await system.api.get(f"{IMPORTS}/{import_id}/rejects")).text.splitlines()
    assert rejects[1].startswith(f"nobody,Nobody,x,{READERS + 2},")
    export = await system.api.get("/api/v1/exports/subscribers", params={"newsletter_id": 1})
    # Two lanes give ids at the same time: the order is not the file's.
    assert sorted(line.partition(",")[0] for line in export.text.splitlines()[1:]) == [
        f"reader-{number:04}@example.com" for number in range(READERS)
    ]
    listed = (await system.api.get("/api/v1/subscribers", params={"email": "reader-0007@example.com"})).json()
    assert [one["subscriptions"][0]["import_id"] for one in listed["items"]] == [import_id]
    assert (await system.api.post(f"{IMPORTS}/{import_id}/undo")).status_code == 202
    assert (await _ended(system, import_id))["undo"]["removed"] == READERS
    assert system.seed.count("subscriptions.subscriber") == system.seed.count("subscriptions.subscriber_tag") == 0


async def test_the_first_rows_of_a_file_and_its_rejected_rows_are_read_and_sent_again(system: System) -> None:
    file = b"Mail;Who;Left\nada@example.com;Ada;no\nbob@;Bob;no\n;Cy;no\n"
    query = {"consent_basis": "They asked for it.", "state": "confirmed", "dry_run": "true"}
    import_id = (await system.api.post(IMPORTS, content=file, params=query, headers=CSV)).json()["id"]
    found: dict[str, Any] = {}

    async def is_checked() -> bool:
        found.update((await system.api.get(f"{IMPORTS}/{import_id}")).json())
        return str(found["status"]) == "checked"

    await eventually(is_checked, what="the file is checked")
    sample = (await system.api.get(f"{IMPORTS}/{import_id}/sample")).json()
    assert sample == {
        "columns": ["Mail", "Who", "Left"],
        "rows": [["ada@example.com", "Ada", "no"], ["bob@", "Bob", "no"], ["", "Cy", "no"]],
    }
    reasons = (await system.api.get(f"{IMPORTS}/{import_id}/reject-reasons")).json()["items"]
    assert [one["rows"] for one in reasons] == [1, 1]
    listed = (await system.api.get(f"{IMPORTS}/{import_id}/rejected-rows", params={"limit": 1})).json()
    assert [(one["line"], one["column"], one["cells"]) for one in listed["items"]] == [
        (3, "Mail", ["bob@", "Bob", "no"])
    ]
    rest = {"limit": 1, "cursor": listed["next_cursor"]}
    listed = (await system.api.get(f"{IMPORTS}/{import_id}/rejected-rows", params=rest)).json()
    assert (listed["items"][0]["cells"], listed["next_cursor"]) == (["", "Cy", "no"], None)
    for path in ("sample", "rejected-rows", "reject-reasons"):
        assert (await system.visitor.get(f"{IMPORTS}/{import_id}/{path}")).status_code == 401
        assert (await system.api.get(f"{IMPORTS}/{import_id + 1}/{path}")).status_code == 404


async def test_who_is_not_an_author_neither_imports_nor_exports(system: System) -> None:
    answer = await system.visitor.post(IMPORTS, content=b"email\n", params={"consent_basis": "x"}, headers=CSV)
    assert answer.status_code == 401
    assert (await system.visitor.get("/api/v1/exports/subscribers")).status_code == 401
    assert system.seed.count("subscriptions.import_job") == 0
