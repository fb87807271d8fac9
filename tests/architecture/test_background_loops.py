"""Background loops run under the one runner; a task made anywhere else is named here, with its reason."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MAKES_TASKS = {"create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe"}

# Module: how many places make tasks, and why none of them is a loop that could die unseen.
ALLOWED = {
    "broadsheet_common/background/runner.py": (2, "the runner itself"),
    "broadsheet_common/background/shared_calls.py": (1, "one call for those who wait for it; it answers each"),
    "broadsheet_common/serving/http_server.py": (
        2,
        "the clock of the limits, and the signal to stop; serving waits for both",
    ),
    "broadsheet_common/process/serving.py": (2, "the listener and the signal to stop; the process waits for both"),
    "broadsheet_delivery/worker.py": (1, "one claimed piece of work; its faults are caught, logged and set aside"),
    "broadsheet_delivery/sending/send_batch.py": (1, "one note about a slow call; the call waits for it"),
    "broadsheet_delivery/settling/reconcile.py": (1, "one question to the search each; the round waits for all"),
    "broadsheet_gateway/forwarding/forward_stream.py": (3, "what may end one stream; the stream waits for them"),
    "broadsheet_gateway/archive/page_cache.py": (1, "one page that several requests wait for"),
    "broadsheet_gateway/sign_up/latest_issues.py": (1, "one question for all visitors of a page; it notes its faults"),
    "broadsheet_gateway/api_keys/verify_api_key.py": (1, "one look-up that several requests wait for"),
    "broadsheet_gateway/sign_up/send_sign_ups.py": (1, "one call for the sign-ups that wait for it; it answers each"),
    "broadsheet_subscriptions/sign_up/take_sign_ups.py": (2, "one sign-up of a batch alone; the batch waits for all"),
    "broadsheet_subscriptions/imports/reading/file_reader.py": (1, "feeds one reader; the import waits for it"),
    "broadsheet_subscriptions/imports/running/run_import.py": (4, "the lanes of one import, which waits for them"),
    "broadsheet_publishing/compiling/compiler.py": (1, "starts its processes once, and is awaited when it ends"),
    "broadsheet_publishing/checks/links/check_links.py": (
        1,
        "one a link, awaited or cancelled",
    ),
    "broadsheet_common/outgoing/guarded_session.py": (1, "one look-up of a name; the calls wait for it"),
    "broadsheet_subscriptions/webhooks/sending/sender.py": (2, "one attempt, one write; each catches its faults"),
}


def _sources() -> list[Path]:
    return sorted([*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/common/src/**/*.py")])


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def test_tasks_are_made_by_the_runner_or_for_a_reason() -> None:
    found: dict[str, int] = {}
    for path in _sources():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if count := sum(_called(call) in _MAKES_TASKS for call in calls):
            found[str(path).partition("/src/")[2]] = count
    assert found == {module: count for module, (count, _) in ALLOWED.items()}


def test_no_endless_loop_sleeps_on_its_own() -> None:
    """`while True` with a sleep in it is a background loop of one's own making."""
    allowed = {
        # The server's clock: the process ends with it.
        "broadsheet_common/serving/http_server.py",
        # The import's lease is kept while the import runs, which ends it.
        "broadsheet_subscriptions/imports/running/run_import.py",
    }
    found = set()
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.While) and isinstance(node.test, ast.Constant):
                calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
                if any(_called(call) == "sleep" for call in calls):
                    found.add(str(path).partition("/src/")[2])
    assert found == allowed


def test_metrics_of_services_are_those_that_never_raise() -> None:
    """Counter, Gauge and Histogram come from `process.metrics`, not from the library."""
    found = []
    for path in _sources():
        if path.name == "metrics.py" and path.parent.name == "process":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client"):
                found += [
                    f"{path}: {one.name}"
                    for one in node.names
                    if one.name in {"Counter", "Gauge", "Histogram", "Summary"}
                ]
            if isinstance(node, ast.Import):
                found += [f"{path}: {one.name}" for one in node.names if one.name.startswith("prometheus_client")]
    assert found == []
