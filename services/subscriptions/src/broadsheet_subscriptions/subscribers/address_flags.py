"""Hints about a valid address, pure: whether it belongs to a role, not a person, and whether it is a disposable one.

Flags are computed when an address is shown and not stored, so they follow the list of disposable domains as it
grows. Both kinds of address may belong to people who want the newsletter, so nothing is refused unless a setting
says so.
"""

from typing import Literal, get_args

from disposable_email_domains import blocklist

from broadsheet_common.mail.email_address import EmailAddress

AddressFlag = Literal["role", "disposable"]
ADDRESS_FLAGS: tuple[AddressFlag, ...] = get_args(AddressFlag)

# The names of RFC 2142, and others in common use for roles. A person's own mailbox hardly ever has such a name.
_ROLES = frozenset({
    "abuse", "accounting", "accounts", "admin", "administration", "administrator", "all", "bestellung", "billing",
    "bookings", "buchhaltung", "careers", "comptabilite", "contact", "contacto", "contato", "customerservice",
    "datenschutz", "devnull", "direktion", "dns", "dpo", "editor", "editorial", "enquiries", "events", "everyone",
    "facturation", "feedback", "finance", "ftp", "geral", "hello", "help", "helpdesk", "hostmaster", "hr", "info",
    "informacion", "inquiries", "investors", "invoice", "invoices", "it", "jobs", "kontakt", "legal", "list", "lists",
    "listserv", "mail", "mailer-daemon", "marketing", "media", "moderator", "news", "newsletter", "no-reply", "nobody",
    "noc", "noreply", "office", "operations", "orders", "owner", "partners", "postmaster", "pr", "presse", "press",
    "privacy", "purchasing", "recruiting", "redaktion", "registrar", "remove", "reservations", "root", "sales",
    "secretary", "security", "service", "shop", "spam", "staff", "subscribe", "support", "sysadmin", "team", "tech",
    "test", "undisclosed-recipients", "unsubscribe", "usenet", "uucp", "vertrieb", "webmaster", "welcome", "www",
})  # fmt: skip


def flags_of(address: EmailAddress) -> tuple[AddressFlag, ...]:
    """In a stable order."""
    local = address.key.rpartition("@")[0]
    flags: list[AddressFlag] = []
    if local.partition("+")[0] in _ROLES:
        flags.append("role")
    if _is_disposable(address.domain):
        flags.append("disposable")
    return tuple(flags)


def parse_flags(text: str) -> frozenset[AddressFlag]:
    """Flags separated by commas; may be empty. Raises ValueError for any other word."""
    words = {word.strip() for word in text.split(",")} - {""}
    if not words <= set(ADDRESS_FLAGS):
        raise ValueError(f"the possible flags are: {', '.join(ADDRESS_FLAGS)}")
    return frozenset(flag for flag in ADDRESS_FLAGS if flag in words)


def _is_disposable(domain: str) -> bool:
    """Whether the domain or one above it is listed: such services hand out subdomains."""
    labels = domain.split(".")
    return any(".".join(labels[first:]) in blocklist for first in range(len(labels) - 1))
