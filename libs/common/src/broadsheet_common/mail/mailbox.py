"""A name and an address as they stand in the `From` of a mail that is handed over as JSON; pure."""

import re
from typing import Final

_SPECIAL: Final = re.compile(r'[][\\()<>@,:;".]')


def mailbox(name: str, address: str) -> str:
    """`Name <address>`, the name in quotes where RFC 5322 asks for it; the address alone without a name.

    A name stays in its own letters: Postmark writes the encoded words of a header itself.
    """
    if not name:
        return address
    quoted = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{quoted}" <{address}>' if _SPECIAL.search(name) else f"{name} <{address}>"
