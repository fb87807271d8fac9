"""What every newsletter of an installation has if it sets nothing of its own; pure."""

from email.utils import parseaddr

import msgspec


class Installation(msgspec.Struct, frozen=True):
    """`sender`: MAIL_FROM, as delivery uses it. `public_url`: without a slash at its end."""

    sender: str | None
    public_url: str

    @property
    def sender_address(self) -> str | None:
        """Without the name."""
        return None if self.sender is None else parseaddr(self.sender)[1]
