"""`broadsheet-gateway verify-audit`: what it prints, and its exit status."""

from collections.abc import Callable

import psycopg
import pytest

from broadsheet_gateway.commands import run_command
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_local.embedded.redis import EmbeddedRedis
from harness.cluster import Database
from harness.keys import SECOND_FACTOR_KEYS, identity_keys

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def entries(log_database: Database) -> list[str]:
    """Five entries in a chain; `<number>:<hash>` of each."""
    with psycopg.connect(log_database.url_for("gateway"), autocommit=True) as connection:
        for number in range(5):
            connection.execute(
                "SELECT audit.record('key.created', 'user:1', 'user:1', NULL, 'key', %s, NULL, NULL, NULL, NULL)",
                (str(number),),
            )
        connection.execute("SELECT audit.seal(100)")
        rows = connection.execute("SELECT number, encode(hash, 'hex') FROM audit.entry ORDER BY number").fetchall()
    return [f"{number}:{digest}" for number, digest in rows]


@pytest.fixture
def verify(
    log_database: Database,
    settings: GatewaySettings,
    gateway_redis: EmbeddedRedis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Verify:
    """Runs the command; answers its exit status, standard output and standard error."""
    environment = {
        "BROADSHEET_ENV": "local",
        "BIND_PORT": "8081",
        "PUBLIC_URL": str(settings.public_url),
        "DATABASE_URL": log_database.url_for("gateway"),
        "REDIS_URL": gateway_redis.url,
        "SUBSCRIPTIONS_URL": "http://subscriptions",
        "PUBLISHING_URL": "http://publishing",
        "DELIVERY_URL": "http://delivery",
        "IDENTITY_PRIVATE_KEY": identity_keys()[0],
        "SECOND_FACTOR_KEYS": SECOND_FACTOR_KEYS.reveal(),
    }

    def run(*arguments: str) -> tuple[int, str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            status = run_command(["verify-audit", *arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def test_an_intact_log_ends_with_0_and_its_last_hash(verify: Verify, entries: list[str]) -> None:
    status, printed, said = verify()
    assert (status, printed) == (0, f"{entries[-1]}\n")
    assert "5 audit entries are intact; 0 are not chained yet" in said
    assert verify("--from", "4")[0] == 0


def test_what_it_printed_shows_later_whether_the_end_was_cut_off(
    verify: Verify, entries: list[str], forge: Callable[..., None]
) -> None:
    assert verify("--known", entries[-1])[0] == 0
    forge(
        "DELETE FROM audit.entry WHERE number > 3",
        "UPDATE audit.head SET (number, hash) = (SELECT number, hash FROM audit.entry WHERE number = 3)",
    )
    assert verify()[0] == 0, "the log alone does not show it"
    status, printed, said = verify("--known", entries[-1])
    assert (status, printed) == (1, "")
    assert said == "gateway: audit entry 4: the entry is missing: the known hash names entry 5\n"


def test_a_fault_ends_with_1_and_is_named(verify: Verify, entries: list[str], forge: Callable[..., None]) -> None:
    forge("UPDATE audit.entry SET actor = 'user:9' WHERE number = 2")
    status, printed, said = verify()
    assert (status, printed) == (1, "")
    assert said == "gateway: audit entry 2: the entry was altered: its hash is another\n"


@pytest.mark.parametrize("arguments", [("--from", "0"), ("--from", "x"), ("--known", "5"), ("--known", "5:abc")])
def test_wrong_usage_ends_with_2(verify: Verify, arguments: tuple[str, str]) -> None:
    assert verify(*arguments)[0] == 2
