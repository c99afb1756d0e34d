"""URLs of sources: what messages may show of them, and the addresses that they may name."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from shelfcast.job import UserError

#: Addresses at which clouds tell the keys of their machines, beside the link-local ones.
_METADATA = frozenset(
    map(
        ip_address,
        (
            *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
            *("100.100.100.200", "192.0.0.192", "168.63.129.16"),
        ),
    )
)
#: Networks whose addresses end with one of IPv4: mapped, compatible, and behind a translator (NAT64).
_ENDS_WITH_IPV4 = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96")))


def shown_url(path: str) -> str:
    """Returns a path as it is, and a URL without user, password and query, which may be secrets.

    Raises:
        UserError: ``InvalidInput``: the URL cannot be read.
    """
    if path.startswith("/"):
        return path
    parts = split_url(path)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def split_url(url: str) -> SplitResult:
    """Returns the parts of a URL.

    Raises:
        UserError: ``InvalidInput``: the URL cannot be read.
    """
    try:
        parts = urlsplit(url)
        is_readable = bool(parts.hostname) and parts.port != 0
        # A bucket has no port; what looks like one is the start of a key with a slash.
        is_readable = is_readable and (parts.scheme != "s3" or parts.port is None)
        parts.netloc.rpartition("@")[2].encode("idna")
    except ValueError:
        is_readable = False
    if not is_readable:
        # Without the text, of which the part with a password may be the wrong one.
        raise UserError(
            "InvalidInput",
            "the URL of the source cannot be read; write it like https://host:8443/folder, with %40 for @, "
            "%2F for /, %3A for : and %25 for % in user and password",
        )
    return parts


def check_host(host: str, shown: str) -> None:
    """Refuses a host that is written as the address of a metadata service, in any notation.

    Raises:
        UserError: ``BadData``: the address is such a one.
    """
    with suppress(ValueError):
        # A request to a proxy has the digits of other scripts as 0 to 9, and a name may end with a dot.
        host = host.encode("idna").decode().rstrip(".")
    with suppress(OSError):
        # Systems also read 0xa9fea9fe and 2852039166.
        host = socket.inet_ntoa(socket.inet_aton(host))
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return
    if isinstance(address, IPv6Address):
        address = _ipv4_in(address) or address
    if address.is_link_local or address in _METADATA:
        raise UserError(
            "BadData",
            f"cannot read {shown}: {address} is an address at which clouds keep the keys of their machines; "
            "a source must be a server of files",
        )


def _ipv4_in(address: IPv6Address) -> IPv4Address | None:
    """Returns the address of IPv4 that one of IPv6 leads to, if it does."""
    if any(address in network for network in _ENDS_WITH_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour
