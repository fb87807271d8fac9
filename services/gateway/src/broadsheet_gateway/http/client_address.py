"""The client's address of a request, as far as the trusted proxies in the settings report it.

Such a proxy reports it in `X-Forwarded-For` or in `Forwarded` (RFC 7239). Only the one that the settings name is
used: a proxy that writes one of them passes the other on as the client sent it.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
ForwardingHeader = Literal["x-forwarded-for", "forwarded"]

UNKNOWN = "unknown"
_HOPS_MAX = 20
_REMEMBERED_MAX = 4096
_IPV6_SITE_BITS = 64

# An address, alone or with a port, as proxies write it: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
_NODE = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+)(?::[0-9]{1,5})?|(?P<bare>[0-9A-Fa-f:.]+)"
)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # the grammar's word
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_PAIR = re.compile(rf"({_TOKEN})=({_VALUE})")
_ELEMENT = re.compile(rf"{_TOKEN}={_VALUE}(?:[ \t]*;[ \t]*{_TOKEN}={_VALUE})*")


def client_address(
    peer: str | None,
    headers: Mapping[str, str],
    trusted: Sequence[Network],
    *,
    believed: ForwardingHeader = "x-forwarded-for",
) -> str:
    """The client's address: the peer's, or, while the peer is a trusted proxy, the address it reports as its own
    peer.

    The list is read from the right, because only what a trusted proxy appended can be trusted. `headers` holds
    each name once, several lines joined in order (`request_rules`). A hop that cannot be read, or that a proxy
    hides (`unknown`, `_hidden`), ends the search: the last known address is used.
    """
    current = _parse(peer)
    if current is None:
        return UNKNOWN
    text = headers.get(believed, "")
    hops = _forwarded_hops(text) if believed == "forwarded" else _listed_hops(text)
    for _, hop in zip(range(_HOPS_MAX), hops, strict=False):
        if not _is_within(current, trusted):
            break
        named = _parse(hop)
        if named is None:
            break
        current = named
    return str(current)


@lru_cache(maxsize=_REMEMBERED_MAX)
def rate_limit_subject(address: str) -> str:
    """The unit that limits count: an IPv4 address, or the /64 of an IPv6 address, within which a host may choose
    freely.
    """
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
    return address


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether it is an address of one of them."""
    parsed = _parse(address)
    return parsed is not None and _is_within(parsed, networks)


def _listed_hops(text: str) -> Iterator[str]:
    """From the right."""
    rest = text
    while rest:
        rest, _, hop = rest.rpartition(",")
        yield hop


def _forwarded_hops(text: str) -> Iterator[str]:
    """`for` of each element, from the right: the shortest end that is an element by the grammar. Read from the left,
    a quote that the client opened would swallow what the proxy appended. Stops at what is not an element.
    """
    rest = text
    while rest:
        element, rest = _last_element(rest)
        named = [value for name, value in _PAIR.findall(element) if name.lower() == "for"]
        if len(named) != 1:
            return
        yield named[0]


def _last_element(text: str) -> tuple[str, str]:
    """The last element and what stands before it; an empty one when the end is none."""
    start = len(text)
    for _ in range(_HOPS_MAX):
        start = text.rfind(",", 0, start)
        element = text[start + 1 :].strip(" \t")
        if _ELEMENT.fullmatch(element):
            return element, text[: max(start, 0)]
        if start < 0:
            break
    return "", ""


@lru_cache(maxsize=_REMEMBERED_MAX)
def _parse(text: str | None) -> Address | None:
    match = _NODE.fullmatch((text or "").strip().strip('"').partition("%")[0])
    if match is None:
        return None
    try:
        parsed = ipaddress.ip_address(match["v6"] or match["v4"] or match["bare"])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
