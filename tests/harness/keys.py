"""Keys for tests, made once a run, and what their holders may do."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broadsheet_common.contracts.permissions import EARLIER_SCOPES, GRANTABLE, Permission
from broadsheet_common.process.settings import Secret

LINK_SIGNING_KEYS = Secret("k1:" + "ab" * 32)
ERASURE_KEYS = Secret("e1:" + "cd" * 32)
SECRET_ENCRYPTION_KEYS = Secret("k1:" + "cd" * 32)
SECOND_FACTOR_KEYS = Secret("k1:" + "ef" * 32)

SUBSCRIPTIONS_SECRETS = {
    "LINK_SIGNING_KEYS": LINK_SIGNING_KEYS.reveal(),
    "ERASURE_KEYS": ERASURE_KEYS.reveal(),
    "SECRET_ENCRYPTION_KEYS": SECRET_ENCRYPTION_KEYS.reveal(),
}
"""For a process of the subscriptions service: in one place, so that no test lacks a new one."""


@cache
def identity_keys() -> tuple[str, str]:
    """Private and public key of a gateway, as PEM."""
    key = Ed25519PrivateKey.generate()
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


EVERYTHING: frozenset[Permission] = GRANTABLE | {"public"}


def scopes(*names: str) -> frozenset[Permission]:
    """Permissions by their names; `read`, `write` and `admin` are all of what these three allowed before there were
    others.
    """
    unknown = set(names) - EARLIER_SCOPES.keys() - EVERYTHING
    assert not unknown, f"there is no permission {unknown}"
    single: frozenset[Permission] = frozenset(name for name in EVERYTHING if name in names)
    return single.union(*(EARLIER_SCOPES[name] for name in names if name in EARLIER_SCOPES))
