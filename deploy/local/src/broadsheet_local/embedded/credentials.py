"""The secrets of a local set-up: generated at the first start, kept in files of mode 0600."""

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from broadsheet_local.embedded.private_file import write_private

DATABASE_ROLES = ("subscriptions", "publishing", "delivery", "gateway")

LOCAL_USERNAME = "admin"
# The original's documented default login. It exists in the embedded set-up only, which listens on loopback.
LOCAL_PASSWORD = "everythinghastostartsomewhere"  # noqa: S105


class Credentials(msgspec.Struct, frozen=True):
    """Paths of the secret files, and the few secrets that are shown or composed into addresses."""

    database_passwords: dict[str, str]
    identity_private_key_file: Path
    identity_public_key_file: Path
    link_signing_keys_file: Path
    erasure_keys_file: Path
    secret_encryption_keys_file: Path
    second_factor_keys_file: Path
    sandbox_token: str
    webhook_password_file: Path
    author_password_file: Path
    api_key: str
    api_key_file: Path


def load_or_create(folder: Path) -> Credentials:
    """Read the secrets in `folder` and generate those that are missing."""
    private_key_file = folder / "identity-private-key.pem"
    public_key_file = folder / "identity-public-key.pem"
    if not (private_key_file.exists() and public_key_file.exists()):
        private_pem, public_pem = _new_key_pair()
        write_private(public_key_file, public_pem)
        write_private(private_key_file, private_pem)
    link_keys_file = folder / "link-signing-keys"
    _keep(link_keys_file, lambda: f"k1:{secrets.token_hex(32)}")
    erasure_keys_file = folder / "erasure-keys"
    _keep(erasure_keys_file, lambda: f"e1:{secrets.token_hex(32)}")
    encryption_keys_file = folder / "secret-encryption-keys"
    _keep(encryption_keys_file, lambda: f"k1:{secrets.token_hex(32)}")
    second_factor_keys_file = folder / "second-factor-keys"
    _keep(second_factor_keys_file, lambda: f"k1:{secrets.token_hex(32)}")
    webhook_password_file = folder / "postmark-webhook-password"
    _keep(webhook_password_file, lambda: secrets.token_urlsafe(24))
    author_password_file = folder / "author-password"
    _keep(author_password_file, lambda: LOCAL_PASSWORD)
    api_key_file = folder / "api-key"
    return Credentials(
        database_passwords={
            role: _keep(folder / f"{role}-db-password", lambda: secrets.token_hex(24)) for role in DATABASE_ROLES
        },
        identity_private_key_file=private_key_file,
        identity_public_key_file=public_key_file,
        link_signing_keys_file=link_keys_file,
        erasure_keys_file=erasure_keys_file,
        secret_encryption_keys_file=encryption_keys_file,
        second_factor_keys_file=second_factor_keys_file,
        sandbox_token=_keep(folder / "sandbox-server-token", lambda: secrets.token_hex(16)),
        webhook_password_file=webhook_password_file,
        author_password_file=author_password_file,
        api_key=_keep(api_key_file, _new_api_key),
        api_key_file=api_key_file,
    )


def _keep(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make())
    return path.read_text()


def _new_api_key() -> str:
    """`bs_`, a visible prefix, and 256 bits in 43 URL-safe characters."""
    return f"bs_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def _new_key_pair() -> tuple[str, str]:
    """An Ed25519 key pair as PEM: PKCS #8 and SubjectPublicKeyInfo."""
    # Imported for the first start only: it takes 10 MB that the launcher would hold for as long as it runs.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private_pem.decode(), public_pem.decode()
