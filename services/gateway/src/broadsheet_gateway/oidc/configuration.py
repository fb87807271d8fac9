"""What is set about the provider: who it is, and which of its groups has which role here."""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from broadsheet_gateway.access.rights import Grant

CALLBACK_PATH: Final = "/login/provider/callback"
GROUP_ROLES_MAX: Final = 500
_NAME_CHARS_MAX: Final = 60
_PROVIDER_WORD_CHARS_MAX: Final = 64


class OidcConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """`issuer` as the provider writes it, to the last slash. `name` is on the button. `scope`: words with spaces
    between. `roles`: what each group gives. `max_age_s`: an older proof at the provider is no fresh one here.
    """

    issuer: str
    client_id: str
    client_secret: str
    name: str
    scope: str
    groups_claim: str
    roles: Mapping[str, tuple[Grant, ...]]
    creates_users: bool
    trusts_second_factor: bool
    redirect_uri: str
    max_age_s: int

    @property
    def needs_https(self) -> bool:
        """Whether every address that the provider names must be https, as its own is."""
        return self.issuer.startswith("https:")

    @property
    def word(self) -> str:
        """What the audit log calls the provider: its host."""
        return urlsplit(self.issuer).netloc[:_PROVIDER_WORD_CHARS_MAX]

    def map_groups(self, groups: Collection[str]) -> list[Grant]:
        """The roles that these groups give, each once, in a stable order. Groups that are not set give none."""
        found = {grant for group in groups for grant in self.roles.get(group, ())}
        return sorted(found, key=lambda grant: (grant.role, grant.newsletter_id or 0))


def check_issuer(issuer: str, *, needs_https: bool) -> None:
    """Raises ValueError with what is wrong."""
    parts = urlsplit(issuer)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("not an http(s) URL")
    if parts.query or parts.fragment:
        raise ValueError("a query or fragment is not allowed here")
    if needs_https and parts.scheme != "https":
        raise ValueError("it must be https in production")


def check_name(name: str) -> None:
    """Of the button. Raises ValueError with what is wrong."""
    if not name.strip() or len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise ValueError(f"expected 1 to {_NAME_CHARS_MAX} characters that can be shown")


def parse_group_roles(text: str) -> dict[str, tuple[Grant, ...]]:
    """Of `GROUP=role; GROUP=role:newsletter_id; …`. A group may be named again for another role, and may itself hold
    commas and equals signs, as names in directories do.

    Raises:
        ValueError: with the entry's number and what is wrong.
    """
    roles: dict[str, tuple[Grant, ...]] = {}
    entries = [entry.strip() for entry in text.split(";") if entry.strip()]
    if len(entries) > GROUP_ROLES_MAX:
        raise ValueError(f"at most {GROUP_ROLES_MAX} entries are taken")
    for number, entry in enumerate(entries, start=1):
        group, separator, role = entry.rpartition("=")
        if not separator or not group.strip():
            raise ValueError(f"entry {number} is not GROUP=role")
        try:
            grant = Grant.parse(role.strip())
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from error
        roles[group.strip()] = (*roles.get(group.strip(), ()), grant)
    return roles
