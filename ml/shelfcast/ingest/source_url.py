"""URLs of sources: what messages may show of them, and the addresses that they may name."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from shelfcast.job import UserError

#: Addresses at which clouds tell the keys of their machines, beside the link-local ones.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))


def shown_url(path: str) -> str:
    """Returns a path as it is, and a URL without user, password and query, which may be secrets."""
    if path.startswith("/"):
        return path
    parts = urlsplit(path)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def split_url(url: str) -> SplitResult:
    """Returns the parts of a URL.

    Raises:
        UserError: ``InvalidInput``: the URL cannot be read.
    """
    try:
        parts = urlsplit(url)
        is_readable = bool(parts.hostname) and parts.port != 0
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
    with suppress(OSError):
        # Systems also read 0xa9fea9fe and 2852039166.
        host = socket.inet_ntoa(socket.inet_aton(host))
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_link_local or address in _METADATA:
        raise UserError(
            "BadData",
            f"cannot read {shown}: {address} is an address at which clouds keep the keys of their machines; "
            "a source must be a server of files",
        )


def check_resolved_host(host: str, shown: str) -> None:
    """Refuses a host like ``check_host``, also by its name.

    Raises:
        UserError: ``BadData``: an address of the host is one of a metadata service.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        # The request itself says what is wrong.
        return
    for *_, address in found:
        check_host(str(address[0]), shown)
