"""Which mail programs drop which CSS and HTML: the derived data, and what each program weighs; pure.

The data is in `client_support.json` (see `services/publishing/tools/derive_client_support.py`); facts from
caniemail.com, whose licence is in `LICENSE.caniemail.txt`.
"""

from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

Kind = Literal["property", "declaration", "function", "unit", "at-rule", "media", "pseudo", "element", "attribute",
               "image"]  # fmt: skip

WEIGHTS: Final[dict[str, float]] = {
    "apple-mail.ios": 0.38,
    "apple-mail.macos": 0.12,
    "gmail.android": 0.12,
    "gmail.desktop-webmail": 0.12,
    "gmail.ios": 0.06,
    "outlook.windows": 0.04,
    "outlook.outlook-com": 0.04,
    "outlook.macos": 0.01,
    "outlook.ios": 0.01,
    "outlook.android": 0.01,
    "yahoo.desktop-webmail": 0.015,
    "yahoo.ios": 0.0075,
    "yahoo.android": 0.0075,
    "aol.desktop-webmail": 0.01,
    "samsung-email.android": 0.02,
    "thunderbird.macos": 0.01,
    "protonmail.desktop-webmail": 0.005,
    "gmx.desktop-webmail": 0.005,
    "web-de.desktop-webmail": 0.005,
}
"""An assumption: the share of readers who open mail in each program. docs/checks.md says where it comes from."""


class Feature(msgspec.Struct, frozen=True):
    """`dropped_by`: programs as `family.platform`, also such as have no weight."""

    slug: str
    title: str
    kind: Kind
    names: tuple[str, ...]
    dropped_by: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of readers whose program drops it, 0 to 1."""
        return sum(WEIGHTS.get(client, 0.0) for client in self.dropped_by)

    @property
    def page(self) -> str:
        return f"https://www.caniemail.com/features/{self.slug}/"


class ClientSupport(msgspec.Struct, frozen=True):
    source: str
    features: tuple[Feature, ...]


@cache
def client_support() -> ClientSupport:
    return msgspec.json.decode(files(__package__).joinpath("client_support.json").read_bytes(), type=ClientSupport)


@cache
def by_name() -> dict[tuple[Kind, str], Feature]:
    return {(feature.kind, name): feature for feature in client_support().features for name in feature.names}
