"""E-mail addresses, parsed once where they enter.

The domain becomes lower-case A-labels (IDNA 2008), so `user@bücher.example` and `USER@XN--BCHER-KVA.example` are
the same address; the local part must be ASCII, because Postmark accepts nothing else. Two addresses are the same
if their `key`s are equal. The local part is compared without case: no major mailbox provider distinguishes `Ada`
from `ada`, and two subscriptions for one person would be two mails. The mail itself goes to the address as typed.

`mailbox_key` is coarser: `ada+news@` and `ada@` are two addresses with separate subscriptions, but one mailbox.
It is used only to limit how much mail a stranger can cause there.

Every mail's address is parsed again before it goes out. Most have the plainest form and a domain that was checked
recently; these take a fast path. The validator, which takes 20 µs, decides about all others.
"""

import re
from functools import lru_cache

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

MAX_LENGTH = 254
_LOCAL_MAX_LENGTH = 64
_DOMAINS_REMEMBERED_MAX = 4096
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_PLAIN_DOMAIN = re.compile(r"[a-z0-9.-]+")
_DOTLESS_DOMAINS = frozenset({"gmail.com", "googlemail.com"})
"""In these domains a mailbox is the same with and without dots, and under both domains."""
_STRIPPED = "\ufeff\u200b\u2060\u00a0 \t"


class EmailAddress(str):
    """A valid address: local part as typed, domain as lower-case A-labels."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "EmailAddress":
        """Parse `raw`; surrounding blanks, NBSP and zero-width characters (as spreadsheets leave them) are dropped.

        Raises:
            ValueError: with a sentence that can be shown to the person who typed it.
        """
        text = raw.strip(_STRIPPED)
        if _is_plain(text):
            return cls(text)
        if not text:
            raise ValueError("An e-mail address is needed.")
        local = text.rpartition("@")[0]
        if not local.isascii():
            raise ValueError("The part before the @ may hold only ASCII characters.")
        try:
            parsed = _validate(text)
        except EmailNotValidError as error:
            raise ValueError(str(error)) from error
        if parsed.ascii_email is None or len(parsed.ascii_email) > MAX_LENGTH:
            raise ValueError("The e-mail address is too long.")
        address_local, _, domain = parsed.ascii_email.rpartition("@")
        if "." not in domain:
            raise ValueError("The part after the @ needs a dot: no mail goes to a top-level domain.")
        return cls(f"{address_local}@{domain.lower()}")

    @property
    def key(self) -> str:
        """Two addresses with the same key are the same address."""
        return self.lower()

    @property
    def domain(self) -> str:
        return self.rpartition("@")[2]

    @property
    def mailbox_key(self) -> str:
        """The mailbox that the mail probably ends up in: without a `+tag`, and without dots in domains that ignore
        them.
        """
        local, _, domain = self.key.rpartition("@")
        mailbox = local.partition("+")[0] or local
        if domain in _DOTLESS_DOMAINS:
            mailbox, domain = mailbox.replace(".", ""), "gmail.com"
        return f"{mailbox}@{domain}"


def _is_plain(text: str) -> bool:
    """Whether the address is certainly valid and in its stored form. False means only that the validator must
    decide.
    """
    local, _, domain = text.rpartition("@")
    return (
        len(text) <= MAX_LENGTH
        and len(local) <= _LOCAL_MAX_LENGTH
        and _PLAIN_LOCAL.fullmatch(local) is not None
        and _is_plain_domain(domain)
    )


@lru_cache(maxsize=_DOMAINS_REMEMBERED_MAX)
def _is_plain_domain(domain: str) -> bool:
    if "." not in domain or "xn--" in domain or _PLAIN_DOMAIN.fullmatch(domain) is None:
        return False
    try:
        return _validate(f"a@{domain}").ascii_domain == domain
    except EmailNotValidError:
        return False


def _validate(text: str) -> ValidatedEmail:
    return validate_email(
        text,
        strict=True,
        check_deliverability=False,
        allow_smtputf8=False,
        test_environment=False,
        allow_quoted_local=False,
        globally_deliverable=False,
    )


def exact_pattern(key: str) -> str:
    """A regular expression, for Python and for Postgres, that finds the address with this key in lower-case text.

    A longer address that contains it (`joann@…`, `ann@….example`) is not found.
    """
    before = r"(?<![a-z0-9._+%&!#$*?^`{|}~-])(?<![a-z0-9]')"
    return rf"{before}{re.escape(key)}(?![a-z0-9_-])(?!\.[a-z0-9])"


def names_exactly(text: str, key: str) -> bool:
    """Whether `text` contains exactly this address."""
    return re.search(exact_pattern(key), text.lower()) is not None
