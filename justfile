# Recipes for people and CI; `./run <recipe>` sets the environment up first and then calls just.

set positional-arguments

# List the recipes
default:
    @just --list

# Everything on embedded Postgres, Redis and sandbox, until Ctrl-C
up *args:
    @exec broadsheet-local up --stop-with-parent "$@"

# One issue from sign-up to delivery, with a report at the end
demo *args:
    @exec broadsheet-local demo --stop-with-parent "$@"

# Mails a second on this machine, compared with a plain pipeline; also scaling, claim, import, subscribers, sign-up, render, archive, gateway
bench *args:
    @exec broadsheet-local bench --stop-with-parent "$@"

# Every fault of the fault table, seeded, in real processes
chaos *args:
    @exec broadsheet-local chaos --stop-with-parent "$@"

# The tests
test *args:
    python -m broadsheet_local.chromium "$@"
    pytest -n 3 "$@"

# Every page in every state as pictures, at three widths, light and dark: ./run pages [FOLDER] [NAME…]
pages *args:
    python -m broadsheet_local.chromium
    PYTHONPATH=tests python -m harness.pictures "$@"

# Lint, types, architecture, migrations, the API document
check:
    ruff check .
    ruff format --check .
    mypy
    lint-imports --no-cache
    broadsheet-local check-migrations
    broadsheet-local check-api

# Mutation testing: change the code that decides the contract, one piece at a time; a test must fail (libs/common, services/delivery)
mutate package *args:
    PYTHONPATH=tests python -m harness.mutate {{ package }} {{ args }}

# Format the code
format:
    ruff check --fix .
    ruff format .

# Resolve the dependencies again and write the lock files
lock *args:
    uv lock "$@"
    uv export --quiet --no-header --no-annotate --no-emit-workspace --group dev -o requirements/dev.txt
    for s in subscriptions publishing delivery gateway migrations postmark-sandbox; do \
      uv export --quiet --no-header --no-annotate --no-emit-workspace --no-dev --package broadsheet-$s -o requirements/$s.txt; done
