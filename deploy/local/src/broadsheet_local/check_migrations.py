"""`check-migrations`: the schema history runs, agrees with the services' tables, and locks nobody out."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.environment import inherited
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.supervisor import Say

STEP_TIMEOUT_S = 120
END_OF_MIGRATION = "\nCOMMIT;\n"


def check_migrations(say: Say) -> int:
    """0 when all is well; LaunchError with the tool's own message at the first step that fails."""
    folder = Path(tempfile.mkdtemp(prefix="broadsheet-migrations-"))
    guardian = Guardian()
    guardian.start()
    try:
        with EmbeddedPostgres(folder / "postgres", guardian=guardian) as postgres:
            environment = inherited(os.environ) | {"MIGRATION_DATABASE_URL": postgres.url}
            migrations("upgrade", environment, "the migrations do not run on an empty database")
            migrations("upgrade", environment, "the migrations cannot be run twice")
            say("the migrations run, and run again")
            migrations("check", environment, "the schema and the services' tables differ")
            say("the schema agrees with the services' tables")
            history = migrations("sql", environment, "the history's SQL cannot be generated")
        # One file for each migration: squawk reports a file with more than one transaction as not atomic.
        scripts = []
        for number, migration in enumerate(history.split(END_OF_MIGRATION)[:-1], start=1):
            scripts.append(folder / f"{number:04}.sql")
            scripts[-1].write_text(migration + END_OF_MIGRATION)
        lint(scripts)
        say("squawk finds nothing in the history's SQL")
    finally:
        guardian.close()
        shutil.rmtree(folder)
    return 0


def migrations(command: str, environment: dict[str, str], failure: str) -> str:
    """Run the migrations package's own command; returns its standard output."""
    return run([sys.executable, "-P", "-m", "broadsheet_migrations", command], environment, failure)


def lint(scripts: list[Path]) -> None:
    squawk = shutil.which("squawk", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if squawk is None:
        raise LaunchError("squawk is not installed: it comes with the development dependencies (squawk-cli)")
    with resources.as_file(resources.files("broadsheet_local") / "squawk.toml") as config:
        run(
            [squawk, "--config", str(config), *map(str, scripts)],
            inherited(os.environ),
            "squawk objects to the history",
        )


def run(command: list[str], environment: dict[str, str], failure: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - commands are composed here, never from input
            command, check=False, capture_output=True, env=environment, text=True, timeout=STEP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{failure}: no end within {STEP_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise LaunchError(f"{failure}:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout
