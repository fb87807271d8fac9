"""What is recorded about a request that changes a subscription: address, user agent, form. Pure."""

from ipaddress import ip_address
from typing import Literal

import msgspec

from broadsheet_common.contracts.consent_wording import WORDINGS

USER_AGENT_CHARS_MAX = 500
FORM_URL_CHARS_MAX = 1_000

ConsentKind = Literal["requested", "mail_sent", "mail_not_sent", "confirmed"]
ConsentSource = Literal["form", "api", "link", "import", "system"]
SignUpMail = Literal["confirmation", "already_subscribed"]

_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came from. Unknown or invalid values are None: the record must not claim more than we saw."""

    source: ConsentSource
    actor: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    form_url: str | None = None
    wording_version: int | None = None


def read_evidence(
    *,
    source: ConsentSource,
    ip: str | None = None,
    user_agent: str | None = None,
    form_url: str | None = None,
    wording_version: int | None = None,
) -> Evidence:
    """From the values the gateway passes on. A header that is too long is cut; an invalid value is dropped."""
    return Evidence(
        source=source,
        ip=_address(ip),
        user_agent=(user_agent or "").translate(_UNSTORABLE)[:USER_AGENT_CHARS_MAX] or None,
        form_url=form_url if form_url and _is_plain(form_url) else None,
        wording_version=wording_version if wording_version in WORDINGS else None,
    )


def _address(text: str | None) -> str | None:
    try:
        return None if text is None else str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _is_plain(url: str) -> bool:
    return len(url) <= FORM_URL_CHARS_MAX and url.isascii() and url.isprintable()
