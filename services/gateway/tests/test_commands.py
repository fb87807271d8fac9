"""The commands that create users and API keys."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from argon2 import PasswordHasher

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.api_keys.api_key import ApiKeyText
from broadsheet_gateway.commands import run_command
from broadsheet_gateway.settings import DEFAULT_PASSWORD
from broadsheet_local.embedded.redis import EmbeddedRedis
from harness.cluster import Database
from harness.keys import SECOND_FACTOR_KEYS, identity_keys

from .conftest import PASSWORD, PUBLIC_URL, execute


class Done(msgspec.Struct, frozen=True):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(
    database: Database,
    gateway_redis: EmbeddedRedis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command as the process would, with some settings changed."""
    environment = {
        "BROADSHEET_ENV": "local",
        "BIND_PORT": "8081",
        "PUBLIC_URL": PUBLIC_URL,
        "DATABASE_URL": database.url_for("gateway"),
        "REDIS_URL": gateway_redis.url,
        "SUBSCRIPTIONS_URL": "http://subscriptions",
        "PUBLISHING_URL": "http://publishing",
        "DELIVERY_URL": "http://delivery",
        "IDENTITY_PRIVATE_KEY": identity_keys()[0],
        "SECOND_FACTOR_KEYS": SECOND_FACTOR_KEYS.reveal(),
    }

    def run_it(*arguments: str, **changes: str) -> Done:
        for name, value in {**environment, **changes}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            status = run_command(arguments)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        shown = capsys.readouterr()
        return Done(status, shown.out, shown.err)

    return run_it


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def test_users_are_created_once(run: Run, password_file: Path, database: Database) -> None:
    arguments = ("create-user", "--username", "admin", "--password-file", str(password_file))
    assert run(*arguments).returncode == 0
    repeated = run(*arguments)
    assert (repeated.returncode, "exists already" in repeated.stderr) == (1, True)
    assert run(*arguments, "--if-missing").returncode == 0
    ((username, password_hash),) = execute(
        database.owner_url, "SELECT username, password_hash FROM gateway.user_account"
    )
    assert username == "admin"
    assert PasswordHasher().verify(password_hash, PASSWORD)


def test_a_user_is_created_with_the_roles_that_are_named(run: Run, password_file: Path, database: Database) -> None:
    arguments = ("create-user", "--username", "eve", "--password-file", str(password_file))
    for wrong in ("king", "editor:", "editor:0", "editor:x"):
        assert run(*arguments, "--role", wrong).returncode == 2
    assert run(*arguments, "--role", "editor:3", "--role", "analyst").returncode == 0
    assert run("create-user", "--username", "admin", "--password-file", str(password_file)).returncode == 0
    roles = "SELECT username, role, newsletter_id FROM gateway.user_role JOIN gateway.user_account AS account"
    assert execute(database.owner_url, f"{roles} ON account.id = user_id ORDER BY account.id, role") == [
        ("eve", "analyst", None),
        ("eve", "editor", 3),
        ("admin", "owner", None),
    ]


def test_a_password_that_may_not_be_is_refused(run: Run, password_file: Path, database: Database) -> None:
    arguments = ("create-user", "--username", "admin", "--password-file", str(password_file))
    for password, reason in (("short", "12 to 128"), ("password1234", "Many people"), (DEFAULT_PASSWORD, "well-known")):
        password_file.write_text(password)
        refused = run(*arguments, BROADSHEET_ENV="production")
        assert refused.returncode == 1
        assert reason in refused.stderr
    assert execute(database.owner_url, "SELECT 1 FROM gateway.user_account") == []
    assert run(*arguments, BROADSHEET_ENV="local").returncode == 0


def test_a_user_is_created_with_an_address_that_no_other_has(run: Run, password_file: Path, database: Database) -> None:
    arguments = ("create-user", "--password-file", str(password_file), "--username")
    assert run(*arguments, "ada", "--email", "Ada@B\u00fccher.example").returncode == 0
    taken = run(*arguments, "eve", "--email", "ADA@xn--bcher-kva.example")
    assert (taken.returncode, "another user has the address" in taken.stderr) == (1, True)
    assert run(*arguments, "eve", "--email", "eve@").returncode == 2
    # What anybody knows of the user is no password.
    password_file.write_text("eve.somebody 2026")
    guessed = run(*arguments, "eve", "--email", "eve.somebody@example.com")
    assert (guessed.returncode, "what others know of you" in guessed.stderr) == (1, True)
    assert execute(database.owner_url, "SELECT username, email, email_key FROM gateway.user_account") == [
        ("ada", "Ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example")
    ]


def test_an_address_is_set_by_command(run: Run, password_file: Path, database: Database) -> None:
    for name in ("ada", "eve"):
        run("create-user", "--username", name, "--password-file", str(password_file))
    done = run("set-email", "ada", "ada@example.com")
    assert (done.returncode, "ada has the address ada@example.com\n" in done.stderr) == (0, True)
    assert "already" in run("set-email", "ada", "ada@example.com").stderr
    for arguments, status, reason in (
        (("eve", "Ada@example.com"), 1, "another user has the address"),
        (("nobody", "n@example.com"), 1, "no user nobody"),
        (("eve", "eve@"), 2, "ADDRESS"),
    ):
        refused = run("set-email", *arguments)
        assert (refused.returncode, reason in refused.stderr) == (status, True), refused
    assert execute(database.owner_url, "SELECT email FROM gateway.user_account ORDER BY id") == [
        ("ada@example.com",),
        (None,),
    ]


def test_keys_are_printed_once_or_put_in_place(
    run: Run, password_file: Path, tmp_path: Path, database: Database
) -> None:
    run("create-user", "--username", "admin", "--password-file", str(password_file))
    arguments = ("create-api-key", "--name", "local", "--username", "admin", "--scopes")
    made = run(*arguments, "read")
    assert made.returncode == 0
    assert ApiKeyText.parse(made.stdout.strip()).text in made.stdout
    assert run(*arguments, "read").returncode == 1
    given = ApiKeyText.generate()
    secret_file = tmp_path / "key"
    secret_file.write_text(given.text)
    for _ in range(2):
        placed = run(*arguments, "all", "--secret-file", str(secret_file))
        assert (placed.returncode, placed.stdout) == (0, "")
    rows = execute(database.owner_url, "SELECT prefix, secret_sha256, scopes FROM gateway.api_key")
    assert rows == [(given.prefix, given.sha256, sorted(GRANTABLE))]


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("create-api-key", "--name", "x", "--username", "nobody", "--scopes", "all"), 1, "no user nobody"),
        (("create-api-key", "--name", "x", "--username", "admin", "--scopes", "public"), 2, "scopes"),
        (("create-user", "--username", "admin", "--password-file", "/nowhere"), 1, "cannot read /nowhere"),
        (("create-user", "--username", " ", "--password-file", "/nowhere"), 2, "printable"),
        (("make-coffee",), 2, "make-coffee"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(run: Run, arguments: Sequence[str], status: int, reason: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_without_a_database_says_so(run: Run, password_file: Path) -> None:
    arguments = ("create-user", "--username", "admin", "--password-file", str(password_file))
    done = run(*arguments, DATABASE_URL="postgresql://gateway@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "database does not answer" in done.stderr
