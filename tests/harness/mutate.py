"""`./run mutate PACKAGE [MUTMUT'S OPTIONS]`: mutmut, with one server and one migrated database for all of its runs.

mutmut runs the tests of each change in a process of its own; to start a server in each would take most of the time.
"""

import os
import subprocess
import sys
from pathlib import Path

from harness.cluster import TEMPLATE_VARIABLE, running_cluster


def main(arguments: list[str]) -> int:
    package, *options = arguments
    with running_cluster() as cluster:
        environment = {
            **os.environ,
            "TEST_DATABASE_URL": cluster.superuser_url,
            TEMPLATE_VARIABLE: cluster.template,
        }
        run = ["mutmut", "run", *(options or ["--max-children", "2"])]
        subprocess.run(run, check=True, cwd=Path(package), env=environment)
    return subprocess.run(["mutmut", "results"], check=False, cwd=Path(package)).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
