"""What every newsletter of an installation has if it sets nothing of its own; pure."""

import msgspec


class Installation(msgspec.Struct, frozen=True):
    """`sender`: MAIL_FROM, as delivery uses it. `public_url`: without a slash at its end."""

    sender: str | None
    public_url: str
