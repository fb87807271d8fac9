"""E-mail addresses, parsed once at the edge.

The domain becomes lower-case A-labels (IDNA 2008), so `user@bücher.example` and `USER@XN--BCHER-KVA.example` are the
same address; the local part must be ASCII, because Postmark takes no other. Two addresses are the same when their
`key`s are equal: the local part is compared without case, since no mailbox provider of note tells `Ada` and `ada`
apart and two subscriptions for one person would be two mails. The mail itself goes to the address as typed.

`mailbox_key` is coarser: `ada+news@` and `ada@` are two addresses that may be subscribed apart, but one mailbox that
somebody else's mail lands in. It bounds how much mail a stranger can cause there, and decides nothing else.

Every mail's address is parsed again before it goes out, and most are in the plainest form on a domain that was seen a
moment ago. Those take a short way; the validator, which takes 20 µs, has the last word on everything else.
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
"""Mailboxes there are the same with and without dots, under both names."""
_STRIPPED = "\ufeff\u200b\u2060\u00a0 \t"


class EmailAddress(str):
    """A valid address: local part as typed, domain as lower-case A-labels."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "EmailAddress":
        """Parse `raw`; surrounding blanks, NBSP and zero-width marks (a spreadsheet's leftovers) are dropped.

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
        """What makes two addresses the same one."""
        return self.lower()

    @property
    def domain(self) -> str:
        return self.rpartition("@")[2]

    @property
    def mailbox_key(self) -> str:
        """Where the mail certainly or probably ends up: without a `+tag`, and without dots where they do not count."""
        local, _, domain = self.key.rpartition("@")
        mailbox = local.partition("+")[0] or local
        if domain in _DOTLESS_DOMAINS:
            mailbox, domain = mailbox.replace(".", ""), "gmail.com"
        return f"{mailbox}@{domain}"


def _is_plain(text: str) -> bool:
    """Whether the address is certainly valid and written as it would be stored. False says nothing."""
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
    """A regular expression, for Python and for Postgres, that finds the address with this key in text in lower case.

    Another address that only ends or begins like it (`joann@…`, `ann@….example`) is not found.
    """
    before = r"(?<![a-z0-9._+%&!#$*?^`{|}~-])(?<![a-z0-9]')"
    return rf"{before}{re.escape(key)}(?![a-z0-9_-])(?!\.[a-z0-9])"


def names_exactly(text: str, key: str) -> bool:
    """Whether `text` names this very address."""
    return re.search(exact_pattern(key), text.lower()) is not None
