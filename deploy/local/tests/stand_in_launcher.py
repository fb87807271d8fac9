"""A small launcher with the real parts: Postgres, Redis, a gateway and a delivery stand-in, supervised.

Prints one JSON line of process ids by name when all is ready; the rest as in `up`.
"""

import json
import os
import sys
from pathlib import Path

from broadsheet_local.embedded.data_folder import DataFolder
from broadsheet_local.embedded.ports import PortChooser
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import ProcessSpec
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.interrupts import Finished, Interrupts
from broadsheet_local.supervision.supervisor import Supervisor

SERVICE = Path(__file__).with_name("stand_in_service.py")


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def run(root: Path) -> int:
    folder, guardian, ports = DataFolder(root), Guardian(), PortChooser()
    folder.acquire()
    stopped = folder.stop_leftovers()
    if stopped:
        say(f"stopped leftovers: {', '.join(sorted(stopped))}")
    guardian.start()
    supervisor = Supervisor(folder, guardian, say)
    postgres = EmbeddedPostgres(folder.postgres, guardian=guardian)
    redis = EmbeddedRedis(folder.redis, guardian=guardian)
    try:
        postgres.start()
        supervisor.adopt(postgres.child)
        redis.start()
        supervisor.adopt(redis.child)
        for name in ("gateway", "delivery-1"):
            port = ports.any_free()
            spec = ProcessSpec(
                name=name,
                command=[sys.executable, str(SERVICE)],
                environment=os.environ | {"BIND_PORT": str(port)},
                log_path=folder.log_path(name),
                folder=root,
                stop_timeout_s=1.0,
            )
            child = supervisor.start(spec, restartable=name.startswith("delivery"))
            await supervisor.wait_ready(child, port, "/health/ready", timeout_s=20)
        pids = {child.name: child.pid for child in supervisor.processes()} | {"guardian": guardian.pid}
        sys.stdout.write(json.dumps(pids) + "\n")
        sys.stdout.flush()
        await supervisor.watch()
    finally:
        await supervisor.stop_all()
        redis.stop()
        postgres.stop()
        guardian.close()
        folder.release()
        ports.close()


if __name__ == "__main__":
    try:
        outcome = Interrupts(on_second=lambda: None, stop_with_parent=False).run(lambda: run(Path(sys.argv[1])))
    except LaunchError as error:
        say(str(error))
        sys.exit(1)
    sys.exit(outcome.exit_code if isinstance(outcome, Finished) else 0)
