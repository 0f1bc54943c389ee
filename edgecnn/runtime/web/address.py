"""From `--serve [HOST]:PORT` to a socket that listens there."""

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
"""What the kernel may hold back of a stream: seconds of old pictures otherwise, on a slow link."""

_DEAD_PEER_MS = 20_000


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where a page is to listen."""

    host: str
    """A name or an IP address without brackets; empty for every interface."""
    port: int
    """0 for a free one."""

    def __str__(self) -> str:
        return f"port {self.port} of {self.host or 'every interface'}"


def parse_address(text: str) -> PageAddress:
    """`8080` is port 8080 of this machine alone, `:8080` of every interface. Raises `InputError`."""
    found = _TEXT.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise InputError(
            f"expected [HOST]:PORT such as 8080, :8080 or 127.0.0.1:8080 to serve the page at, got {text!r}"
        )
    host = found["host"].strip("[]") if found["colon"] else LOOPBACK
    # Of the two addresses that a browser tries for localhost, one is enough.
    return PageAddress(LOOPBACK if host.lower() == "localhost" else host, int(found["port"]))


def listen(address: PageAddress) -> socket.socket:
    """A socket that listens at `address`. Raises `InputError` where that is not possible."""
    try:
        family, where, dual = _resolved(address)
        listener = socket.create_server(where, family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise InputError(_refusal(address, error)) from None
    # Those that are accepted inherit both.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
    return listener


def is_loopback_only(listener: socket.socket) -> bool:
    """Whether nobody but this machine can reach it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def page_url(listener: socket.socket) -> str:
    """An address to open, from another machine too where the socket listens to others."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address(_own_address())
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}/"


def _resolved(address: PageAddress) -> tuple[socket.AddressFamily, tuple[str, int], bool]:
    if address.host in ("", "::") and socket.has_dualstack_ipv6():
        return socket.AF_INET6, ("::", address.port), True
    known = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM)  # noqa: S104 - asked for
    family, _, _, _, where = min(known, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(where[0]), address.port), False


def _refusal(address: PageAddress, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"no address is known for {address.host}; serve the page at 8080 or :8080"
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use; choose another or stop what uses it"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{address} is not permitted to this user; choose one from 1024 up"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine; serve the page at 8080 or :8080"
    return f"cannot listen at {address}: {error.strerror}; choose another"


def _own_address() -> str:
    """The address that others reach this machine by, as far as its routes tell; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK
