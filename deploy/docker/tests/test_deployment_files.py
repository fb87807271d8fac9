"""The files that deploy the services say the same as the services themselves."""

import os
import re
import shutil
import stat
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from broadsheet_common.contracts.identity import Identity, IdentityMinter, IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.settings import ServiceSettings, load_settings
from broadsheet_local.embedded.redis import GATEWAY_COMMANDS, GATEWAY_KEYS
from broadsheet_local.embedded.redis_server_binary import VERSION_MIN
from broadsheet_subscriptions.imports.reading.read_file import MEMORY_BYTES_MAX
from harness.keys import scopes

MIB = 1024 * 1024
SERVICE_ITSELF = 512 * MIB
"""What subscriptions has needed at most, with some to spare."""
ROOT = Path(__file__).parents[3]
PARTS = {"subscriptions", "publishing", "delivery", "gateway", "migrations", "postmark-sandbox"}
LOCAL_ONLY = {"SANDBOX_INBOX_URL"}
"""Refused in production, which compose is."""
SET_IN_THE_IMAGE = {"BIND_HOST", "BIND_PORT"}

# What the tests need of OpenSSL, for a machine that has none or one without Ed25519.
OPENSSL_STAND_IN = """\
import secrets, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key)
match sys.argv[1:]:
    case ["genpkey", "-algorithm", "ed25519"]:
        key = Ed25519PrivateKey.generate()
        print(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), end="")
    case ["pkey", "-in", path, "-pubout"]:
        key = load_pem_private_key(open(path, "rb").read(), None).public_key()
        print(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), end="")
    case ["rand", "-hex", count]:
        print(secrets.token_hex(int(count)))
    case _:
        sys.exit(1)
"""


def load_reference() -> ModuleType:
    spec = spec_from_file_location("settings_reference", ROOT / "docs/settings_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_reference()
SERVICES: dict[str, type[ServiceSettings]] = REFERENCE.SERVICES


def compose() -> Any:
    return msgspec.yaml.decode((ROOT / "docker-compose.yml").read_bytes())


def setting_names(settings: type[ServiceSettings], *, required_only: bool = False) -> set[str]:
    fields = msgspec.structs.fields(settings)
    return {field.name.upper() for field in fields if field.required or not required_only}


def make_secrets(folder: Path, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "POSTMARK_SERVER_TOKEN"}
    environ |= {"SECRETS_DIR": str(folder / "secrets"), "OPENSSL": openssl(folder)}
    if token is not None:
        environ["POSTMARK_SERVER_TOKEN"] = token
    script = ROOT / "deploy/docker/make-secrets"
    return subprocess.run(
        ["/bin/sh", script, *arguments], env=environ, check=False, capture_output=True, text=True, timeout=60
    )


def openssl(folder: Path) -> str:
    real = shutil.which("openssl")
    if real is not None:
        tried = subprocess.run([real, "genpkey", "-algorithm", "ed25519"], check=False, capture_output=True, timeout=20)
        if tried.returncode == 0:
            return real
    code, program = folder / "openssl.py", folder / "openssl"
    code.write_text(OPENSSL_STAND_IN)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{code}" "$@"\n')
    program.chmod(0o700)
    return str(program)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    done = make_secrets(folder, "--sandbox")
    assert done.returncode == 0, done.stderr
    return folder / "secrets"


def test_the_document_names_every_setting_as_the_classes_have_it() -> None:
    document = REFERENCE.DOCUMENT.read_text(encoding="utf-8")
    assert REFERENCE.with_reference(document) == document, "run docs/settings_reference.py"
    missing = {
        name for settings in SERVICES.values() for name in setting_names(settings) if f"| `{name}` |" not in document
    }
    assert missing == set()


def test_no_meaning_is_written_for_a_setting_that_is_gone_or_explains_itself() -> None:
    wanted = set(REFERENCE.meaning_keys(None, ServiceSettings).values())
    for service, settings in SERVICES.items():
        wanted |= set(REFERENCE.meaning_keys(service, settings).values())
    assert set(REFERENCE.MEANINGS) == wanted


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_compose_passes_on_every_setting_of_a_service_and_no_other(service: str) -> None:
    given = {name.removesuffix("_FILE") for name in compose()["services"][service]["environment"]}
    assert given == setting_names(SERVICES[service]) - SET_IN_THE_IMAGE - LOCAL_ONLY


def test_the_reader_of_imports_reaches_its_own_bound_before_its_containers() -> None:
    limit = compose()["services"]["subscriptions"]["deploy"]["resources"]["limits"]["memory"]
    xlsx_bytes_max = 100 * MIB
    assert limit == "3G"
    assert MEMORY_BYTES_MAX + xlsx_bytes_max + SERVICE_ITSELF <= 3 * 1024 * MIB


def test_the_redis_of_compose_allows_what_the_embedded_one_does(secrets: Path) -> None:
    rules = (secrets / "redis-config").read_text().splitlines()
    password = (secrets / "redis-password").read_text().strip()
    commands = [f"+{command}" for command in GATEWAY_COMMANDS]
    assert rules == [
        "user default off",
        " ".join([f"user gateway on >{password}", f"~{GATEWAY_KEYS}", "-@all", *commands]),
    ]
    image = compose()["services"]["redis"]["image"]
    name, _, version = image.partition(":")
    assert name == "valkey/valkey"
    assert tuple(int(part) for part in version.split(".")) >= VERSION_MIN


def test_every_file_that_compose_names_is_a_secret_of_that_service() -> None:
    for name, service in compose()["services"].items():
        environment = service.get("environment", {})
        files = {value for key, value in environment.items() if key.endswith("_FILE")}
        mounted = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        said = " ".join([str(service.get("command")), *files])
        assert set(re.findall(r"/run/secrets/[a-z.-]+", said)) == mounted, name


def test_only_the_gateway_and_the_sandbox_are_published_and_the_sandbox_needs_its_profile() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"gateway", "postmark-sandbox"}
    assert services["postmark-sandbox"]["profiles"] == ["sandbox"]
    assert all("127.0.0.1" in port for name in ("gateway", "postmark-sandbox") for port in services[name]["ports"])
    assert compose()["networks"]["private"] == {"internal": True}
    inside = {name for name, service in services.items() if service["networks"] == ["private"]}
    assert inside == {"postgres", "redis", "migrate", "publishing"}


def test_delivery_can_be_scaled_and_has_time_to_drain() -> None:
    delivery = compose()["services"]["delivery"]
    assert "container_name" not in delivery
    drain_s = re.search(r"-(\d+)", delivery["environment"]["DRAIN_S"])
    grace_s = re.fullmatch(r"(\d+)s", delivery["stop_grace_period"])
    assert drain_s is not None
    assert grace_s is not None
    defaults = {field.name: field.default for field in msgspec.structs.fields(SERVICES["delivery"])}
    assert defaults["delivery_http_timeout_s"] < int(drain_s[1])
    assert int(drain_s[1]) + defaults["drain_notice_s"] < int(grace_s[1])


def test_the_secrets_that_are_made_are_those_that_compose_mounts(secrets: Path) -> None:
    named = {entry["file"].rpartition("/")[2] for entry in compose()["secrets"].values()}
    assert set(compose()["secrets"]) == named
    # Kept to compose redis-config and redis-url of it.
    assert {path.name for path in secrets.iterdir()} == named | {"redis-password"}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_accepts_compose_settings_and_the_made_secrets(service: str, secrets: Path) -> None:
    environ = {"BIND_PORT": "8080"}
    for name, value in compose()["services"][service]["environment"].items():
        if name.endswith("_FILE"):
            environ[name] = value.replace("/run/secrets", str(secrets))
        elif value is not None:
            environ[name] = re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value))
    environ |= {"PUBLIC_URL": "https://news.example.com", "MAIL_FROM": "News <news@example.com>"}
    settings = load_settings(SERVICES[service], environ)
    assert settings.broadsheet_env == "production"


def test_the_made_keys_fit_together_and_a_second_run_keeps_them(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert make_secrets(secrets.parent, "--sandbox").returncode == 0
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    identity = Identity("user:1", scopes("read"))
    token = IdentityMinter(before["identity-private-key.pem"].decode()).mint(identity, "delivery")
    assert IdentityVerifier(before["identity-public-key.pem"].decode(), "delivery").verify(token) == identity
    signer = LinkSigner.parse(before["link-signing-keys"].decode().strip())
    assert signer.verify("unsubscribe", signer.sign("unsubscribe", 7)) == 7
    assert before["redis-password"].strip() in before["redis-url"]


def test_without_a_postmark_token_the_secrets_are_not_complete_and_it_says_so(tmp_path: Path) -> None:
    refused = make_secrets(tmp_path)
    assert refused.returncode == 1
    assert "POSTMARK_SERVER_TOKEN" in refused.stderr
    assert make_secrets(tmp_path, token="a-token-of-postmark").returncode == 0
    assert (tmp_path / "secrets/postmark-server-token").read_text() == "a-token-of-postmark\n"


def test_the_local_env_file_sets_only_what_compose_or_docker_reads() -> None:
    lines = (ROOT / "deploy/docker/local.env").read_text(encoding="utf-8").splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    said = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert {name for name in names - {"COMPOSE_PROFILES"} if not re.search(rf"\b{name}\b", said)} == set()


def test_images_are_built_with_the_same_uv_and_for_the_same_parts_as_everything_else() -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    run = (ROOT / "run").read_text(encoding="utf-8")
    assert re.findall(r"UV_VERSION=(\S+)", dockerfile) == re.findall(r"^UV_VERSION=(\S+)", run, re.MULTILINE)
    assert set(re.findall(r"^FROM \S+ AS install-(\S+)", dockerfile, re.MULTILINE)) - {"service"} == PARTS
    assert {path.stem for path in (ROOT / "requirements").glob("*.txt")} - {"dev"} == PARTS
    workflow = msgspec.yaml.decode((ROOT / ".github/workflows/ci.yml").read_bytes())
    assert set(workflow["jobs"]["image"]["strategy"]["matrix"]["service"]) == PARTS
    built = {s["build"]["args"]["SERVICE"] for s in compose()["services"].values() if "build" in s}
    assert built == PARTS
