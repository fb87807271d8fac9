"""What an address looks like beside being valid, pure: whether it is an office's, and whether it is only for a while.

Flags are made from the address when it is shown, and stored nowhere: so they follow the list of disposable domains as
it grows. They are hints. Both kinds are people who may want a newsletter, and nothing is refused unless a setting says
so.
"""

from typing import Literal, get_args

from disposable_email_domains import blocklist

from broadsheet_common.mail.email_address import EmailAddress

AddressFlag = Literal["role", "disposable"]
ADDRESS_FLAGS: tuple[AddressFlag, ...] = get_args(AddressFlag)

# RFC 2142's, and those that offices use beside them. A person's own mailbox hardly ever has such a name.
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
    """Flags separated by commas, or none. Raises ValueError for any other word."""
    words = {word.strip() for word in text.split(",")} - {""}
    if not words <= set(ADDRESS_FLAGS):
        raise ValueError(f"the flags that there are: {', '.join(ADDRESS_FLAGS)}")
    return frozenset(flag for flag in ADDRESS_FLAGS if flag in words)


def _is_disposable(domain: str) -> bool:
    """The domain itself or one above it: such services hand out subdomains."""
    labels = domain.split(".")
    return any(".".join(labels[first:]) in blocklist for first in range(len(labels) - 1))
