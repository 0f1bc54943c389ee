"""Parsing of the value of `--serve`, `[HOST]:PORT`, and the socket that listens there."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from edgecnn.core.errors import InputError

LOOPBACK = "127.0.0.1"

_TEXT = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]*)(?P<colon>:))?(?P<port>\d{1,5})", re.ASCII)

_SEND_BUFFER_BYTES = 128 * 1024
"""Size of the kernel's send buffer. A larger one delays a stream on a slow link by seconds of old pictures."""

_DEAD_PEER_MS = 20_000
"""Time after which a connection whose peer acknowledges nothing is closed."""


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Address at which a page listens."""

    host: str
    """Host name, or IP address without brackets; empty for every interface."""
    port: int
    """Port; 0 for any free one."""

    def __str__(self) -> str:
        return f"port {self.port} of {self.host or 'every interface'}"


def parse_address(text: str) -> PageAddress:
    """Parse the address of a page.

    Args:
        text: `[HOST]:PORT`. `8080` is port 8080 for this machine only, `:8080` the same port on every interface.

    Returns:
        The address.

    Raises:
        InputError: If the text is malformed.
    """
    match = _TEXT.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise InputError(
            f"expected [HOST]:PORT such as 8080, :8080 or 127.0.0.1:8080 to serve the page at, got {text!r}"
        )
    host = match["host"].strip("[]") if match["colon"] else LOOPBACK
    # A browser tries two addresses for localhost, IPv4 and IPv6; listening at one of them is enough.
    return PageAddress(LOOPBACK if host.lower() == "localhost" else host, int(match["port"]))


def listen(address: PageAddress) -> socket.socket:
    """Open a listening socket.

    Args:
        address: Address to listen at.

    Returns:
        The socket, which the caller must close.

    Raises:
        InputError: If that is not possible.
    """
    try:
        family, socket_address, dual_stack = _resolved(address)
        listener = socket.create_server(socket_address, family=family, dualstack_ipv6=dual_stack)
    except OSError as error:
        raise InputError(_describe_error(address, error)) from None
    # Accepted connections inherit both options.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
    return listener


def is_loopback_only(listener: socket.socket) -> bool:
    """Return True if only this machine can reach a socket.

    Args:
        listener: Listening socket.

    Returns:
        True if it is bound to a loopback address.
    """
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def page_url(listener: socket.socket) -> str:
    """Return the URL of a page.

    Args:
        listener: Listening socket.

    Returns:
        A URL that also works on other machines if the socket is reachable from them.
    """
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address(_own_address())
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}/"


def _resolved(address: PageAddress) -> tuple[socket.AddressFamily, tuple[str, int], bool]:
    if address.host in ("", "::") and socket.has_dualstack_ipv6():
        return socket.AF_INET6, ("::", address.port), True
    host = address.host or "0.0.0.0"  # noqa: S104 - the user requested every interface
    candidates = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
    family, _, _, _, socket_address = min(candidates, key=lambda candidate: candidate[0] != socket.AF_INET)
    return family, (str(socket_address[0]), address.port), False


def _describe_error(address: PageAddress, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"cannot resolve the host name {address.host}; serve the page at 8080 or :8080"
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use; choose another port or stop the program that uses it"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may not listen at {address}; choose a port of 1024 or higher"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is not an address of this machine; serve the page at 8080 or :8080"
    return f"cannot listen at {address}: {error.strerror}; choose another address"


def _own_address() -> str:
    """Return the address of the interface with the default route; nothing is sent.

    The socket is connected to an address reserved for documentation (RFC 5737), which only selects a route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK
