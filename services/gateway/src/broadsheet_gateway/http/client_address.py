"""Whose address a request came from. `X-Forwarded-For` is believed only from proxies that the settings name."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "unknown"
_HOPS_MAX = 20
_IPV6_SITE_BITS = 64


def client_address(peer: str | None, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The address of the client: the peer, or, as long as the peer is a trusted proxy, whom it names as its own peer.

    The list is read from the right, since only what a trusted proxy appended can be believed.
    """
    current = _parse(peer)
    if current is None:
        return UNKNOWN
    hops = [hop.strip() for hop in (forwarded_for or "").split(",")][-_HOPS_MAX:]
    while hops and _is_within(current, trusted):
        named = _parse(hops.pop())
        if named is None:
            break
        current = named
    return str(current)


def rate_limit_subject(address: str) -> str:
    """What one site counts as: an IPv4 address, or the /64 of an IPv6 one, where a host may pick addresses freely."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
    return address


def is_loopback(peer: str | None) -> bool:
    address = _parse(peer)
    return address is not None and address.is_loopback


def _parse(text: str | None) -> Address | None:
    if text is None:
        return None
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
