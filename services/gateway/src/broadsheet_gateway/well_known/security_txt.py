"""Where somebody who found a weakness reports it: security.txt (RFC 9116); pure."""

from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

PATH: Final = "/.well-known/security.txt"
VALID_FOR: Final = timedelta(days=180)
"""RFC 9116, 2.5.5: less than a year. It is written anew for each answer, for the day that the answer is given."""


def parse_contacts(raw: str) -> tuple[str, ...]:
    """Addresses to report to, most wanted first, separated by commas: `mailto:`, `tel:` or `https:`.

    Raises:
        ValueError: names the entry at fault.
    """
    contacts = tuple(entry.strip() for entry in raw.split(",") if entry.strip())
    for contact in contacts:
        parts = urlsplit(contact)
        is_address = parts.scheme in {"mailto", "tel"} and parts.path
        is_page = parts.scheme == "https" and parts.hostname
        if not (is_address or is_page) or not contact.isascii() or not contact.isprintable() or " " in contact:
            raise ValueError(f"`{contact}` is not a mailto:, tel: or https: address")
    return contacts


def security_txt(contacts: tuple[str, ...], *, policy: str | None, public_url: str, now: datetime) -> str:
    """`policy`: the address of the page that says how reports are handled. `now` with its time zone."""
    expires = (now.astimezone(UTC) + VALID_FOR).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [f"Contact: {contact}" for contact in contacts]
    lines.append(f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}")
    lines.append(f"Canonical: {public_url}{PATH}")
    if policy is not None:
        lines.append(f"Policy: {policy}")
    return "".join(f"{line}\n" for line in lines)
