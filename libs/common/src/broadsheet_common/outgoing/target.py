"""The targets that a service may call for somebody: which network addresses, and which URLs; pure.

Otherwise anybody who may set a URL could make this service call what only it can reach: databases, cloud
metadata, admin pages. A name can resolve to any address, and to another one a moment later, so the deciding check
is on the address that the socket is about to connect to. The URL is checked too, so that mistakes are reported at
once.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from yarl import URL

URL_CHARS_MAX: Final = 2_000
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_UNPRIVILEGED_PORT_MIN: Final = 1024
_PRINTABLE: Final = re.compile(r"[^\x00-\x20\x7f]+")
_NUMERIC_LABEL: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Python's `is_global` follows the registries as its version knows them. The networks listed here are refused in any
# case.
_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        # IPv6: only 2000::/3 is allocated for public use. Refused within it: special purposes with Teredo,
        # documentation, 6to4.
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_IPV4_BITS: Final = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Whether the address can be reached from the public internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & _IPV4_BITS))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


class TargetPolicy:
    """What is allowed besides public addresses over https. Addresses in `allowed_networks` may be called in any
    case.
    """

    # Not a Struct: msgspec, with which routes convert it, cannot convert a union of the two kinds of network.
    __slots__ = ("_allowed_networks", "allow_http")

    def __init__(self, allowed_networks: tuple[Network, ...] = (), *, allow_http: bool = False) -> None:
        self._allowed_networks = allowed_networks
        self.allow_http = allow_http

    def allows_address(self, address: Address) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return is_public(address) or any(address in network for network in self._allowed_networks)

    def parse_url(self, raw: str) -> URL:
        """Raises ValueError with a message for the person who entered the URL."""
        if len(raw) > URL_CHARS_MAX or _PRINTABLE.fullmatch(raw) is None:
            raise ValueError(f"A URL has at most {URL_CHARS_MAX} characters, and no spaces.")
        try:
            url = URL(raw)
            host, port = url.host, url.port
        except ValueError as error:
            raise ValueError("This is not a URL.") from error
        if url.scheme != "https" and not (self.allow_http and url.scheme == "http"):
            raise ValueError("The URL must begin with https://.")
        if not host or port is None:
            raise ValueError("The URL needs a host.")
        if url.user is not None or url.password is not None:
            raise ValueError("The URL must hold no user name or password.")
        if url.raw_fragment:
            raise ValueError("The URL must have no fragment (#).")
        allowed_ports = {_HTTPS_PORT, _HTTP_PORT} if self.allow_http else {_HTTPS_PORT}
        if port not in allowed_ports and port < _UNPRIVILEGED_PORT_MIN:
            raise ValueError(f"The port must be {_HTTPS_PORT}, or {_UNPRIVILEGED_PORT_MIN} or more.")
        self._check_host(host)
        return url

    def _check_host(self, host: str) -> None:
        try:
            address = ip_address(host)
        except ValueError:
            # Any other host that ends in a number is read as an IPv4 address by some programs and not by others (127.1,
            # 0x7f000001).
            if _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2].lower()) is not None:
                raise ValueError("The host is neither a name nor an IP address in its usual form.") from None
            return
        if not self.allows_address(address):
            raise ValueError("The host is not a public address.")


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8,::1/128`, or nothing. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
