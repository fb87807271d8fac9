"""Keys as given in settings: `id:hex,id:hex,…`, the current one first. Pure.

Keys are rotated by adding a new one in front; an old one stays as long as something is read with it.
"""

import re
from typing import Final

KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 64
_ENTRY: Final = re.compile(r"([a-z0-9]{1,16}):((?:[0-9a-fA-F]{2})+)")


def parse_key_ring(text: str, *, bytes_max: int = KEY_BYTES_MAX) -> dict[str, bytes]:
    """Keys by id, in the order given, at least one.

    Raises ValueError, whose text contains no key, unless every entry is `id:hex` with KEY_BYTES_MIN to
    `bytes_max` bytes, and no id comes twice.
    """
    keys: dict[str, bytes] = {}
    for entry in text.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None or not KEY_BYTES_MIN <= len(match[2]) // 2 <= bytes_max:
            digits = f"{2 * KEY_BYTES_MIN}" if bytes_max == KEY_BYTES_MIN else f"{2 * KEY_BYTES_MIN} to {2 * bytes_max}"
            raise ValueError(f"expected `id:hex` entries of {digits} hex digits, separated by commas")
        if match[1] in keys:
            raise ValueError("a key's id was given twice")
        keys[match[1]] = bytes.fromhex(match[2])
    return keys
