# Recipes for people and CI; `./run <recipe>` sets the environment up first and then calls just.

set positional-arguments

# List the recipes
default:
    @just --list

# Everything on embedded Postgres, Redis and sandbox, until Ctrl-C
up *args:
    @exec broadsheet-local up --stop-with-parent "$@"

# The main job from sign-up to delivered, with a closing report
demo *args:
    @exec broadsheet-local demo --stop-with-parent "$@"

# This machine's mails a second, beside a plain pipeline: delivery, scaling, claim
bench *args:
    @exec broadsheet-local bench --stop-with-parent "$@"

# Every fault of the table, seeded, over real processes
chaos *args:
    @exec broadsheet-local chaos --stop-with-parent "$@"

# The tests
test *args:
    python -m broadsheet_local.chromium "$@"
    pytest -n 3 "$@"

# Lint, types, architecture, migrations
check:
    ruff check .
    ruff format --check .
    mypy
    lint-imports --no-cache
    broadsheet-local check-migrations

# Change the code that decides the contract, one piece at a time, and see that a test fails: libs/common, services/delivery
mutate package *args:
    cd {{ package }} && mutmut run {{ if args == "" { "--max-children 1" } else { args } }}
    cd {{ package }} && mutmut results

# Format the code
format:
    ruff check --fix .
    ruff format .

# Resolve the dependencies anew and write the lock files
lock *args:
    uv lock "$@"
    uv export --quiet --no-header --no-annotate --no-emit-workspace --group dev -o requirements/dev.txt
    for s in subscriptions publishing delivery gateway migrations postmark-sandbox; do \
      uv export --quiet --no-header --no-annotate --no-emit-workspace --no-dev --package broadsheet-$s -o requirements/$s.txt; done
