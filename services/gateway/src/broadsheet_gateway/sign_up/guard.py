"""Protects the public sign-up form from abuse: rate limits, a honeypot field, a minimum time.

A visitor over a limit is told so (429). A detected bot is not, nor is an address that was entered too often: both
get the page that everybody gets, and nothing happens.
"""

import hmac
from typing import Literal

import structlog

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.settings import RateLimits
from broadsheet_gateway.sign_up.form_ticket import FIELD as TICKET_FIELD
from broadsheet_gateway.sign_up.form_ticket import FormTickets

TRAP_FIELD = "website"
"""The honeypot: hidden from people, with a label that says to leave it empty."""

Passage = Literal["pass", "drop"]

_log = structlog.get_logger()


class SignUpGuard:
    """`address_key` keys the hash under which an address is counted: Redis stores no address."""

    def __init__(
        self,
        *,
        limiter: Limiter,
        limits: RateLimits,
        tickets: FormTickets,
        fill_min_s: float,
        address_key: bytes,
    ) -> None:
        self._limiter = limiter
        self._limits = limits
        self._tickets = tickets
        self._fill_min_s = fill_min_s
        self._address_key = address_key

    async def judge(self, form: Form, *, form_name: str, subject: str) -> Passage:
        """`subject` is the network address that limits count.

        A form without a valid ticket (plain HTML on another site, a program, a page that was open for days) has
        narrower limits: otherwise leaving out the ticket would bypass the minimum time.

        Raises:
            TooManyRequestsError
        """
        age_s = self._tickets.age_s(form_name, form.text(TICKET_FIELD))
        charges = [
            Charge("sign-up", subject, self._limits.signup_per_ip),
            Charge("sign-up-all", "all", self._limits.signup_overall),
        ]
        if age_s is None:
            charges += [
                Charge("sign-up-untimed", subject, self._limits.signup_untimed_per_ip),
                Charge("sign-up-untimed-all", "all", self._limits.signup_untimed_overall),
            ]
        bot = self._bot_reason(form, age_s)
        mailbox = None if bot is not None else mailbox_of(form.text("email"))
        address = [] if mailbox is None else [self._address_charge(mailbox)]
        # A bot that gives itself away is charged like anybody, but for no mailbox.
        _, by_address = await self._limiter.require_then(charges, address)
        if bot is not None:
            return self._drop(bot)
        if not all(verdict.is_allowed for verdict in by_address):
            return self._drop("address")
        return "pass"

    def _bot_reason(self, form: Form, age_s: float | None) -> str | None:
        if form.text(TRAP_FIELD):
            return "trap"
        return "too_fast" if age_s is not None and age_s < self._fill_min_s else None

    def _address_charge(self, mailbox: str) -> Charge:
        subject = hmac.digest(self._address_key, mailbox.encode(), "sha256").hex()
        return Charge("sign-up-address", subject, self._limits.signup_per_address)

    def _drop(self, reason: str) -> Passage:
        _log.info("sign_up.dropped", reason=reason)
        return "drop"


def mailbox_of(email: str) -> str | None:
    """The mailbox that the typed address names; None if it is no address, and will be refused as such."""
    try:
        return EmailAddress.parse(email).mailbox_key
    except ValueError:
        return None
