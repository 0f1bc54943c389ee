"""Parsing of the value of `--mqtt`: host, login and topic prefix of a broker."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from edgecnn.core.errors import InputError
from edgecnn.runtime.outputs.mqtt.topics import topic_level
from edgecnn.runtime.sources.address import printable_address

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Address of a broker, with login and topic prefix."""

    tls: bool
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    prefix: str
    """Beginning of all topics."""

    @property
    def name(self) -> str:
        """Address without login and prefix, for messages."""
        scheme = "mqtts" if self.tls else "mqtt"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if self.port == _PORTS[scheme] else f":{self.port}")


def parse_broker(address: str, password: str | None = None) -> Broker:
    """Parse the address of a broker.

    Args:
        address: `mqtt://[user[:password]@]host[:port][/topic/prefix]`, or `mqtts://` for TLS.
        password: Password that overrides the one in the address.

    Returns:
        The broker. Without a prefix in the address, its prefix is `edgecnn/HOSTNAME`.

    Raises:
        InputError: If the address is invalid, or there is a password but no user. The message contains no password.
    """
    try:
        broker = _parse(address, password)
    except ValueError:
        masked = re.sub(r"^([a-z]+://)?.*@", r"\1***@", address, flags=re.IGNORECASE | re.DOTALL)
        raise InputError(
            "expected mqtt://[user[:password]@]host[:port][/topic/prefix] or mqtts://..., got "
            f"{printable_address(masked)!r}; write special characters as %XX, and use no + or # in the prefix"
        ) from None
    if broker.password and not broker.user:
        raise InputError(f"got a password but no user for {broker.name}; write mqtt://user@host")
    return broker


def _parse(address: str, password: str | None) -> Broker:
    """Raise `ValueError` if the address is invalid."""
    parts = urlsplit(address)
    # Such characters must be escaped in a password; otherwise part of it would become a topic.
    if not address.isprintable() or any(character in address for character in "?# ") or "@" in parts.path:
        raise ValueError
    prefix = _unescaped(parts.path).strip("/") or f"edgecnn/{topic_level(socket.gethostname())}"
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    if parts.scheme not in _PORTS or not parts.hostname or not port or not _is_prefix(prefix):
        raise ValueError
    # Raises an exception for a name that cannot be looked up.
    parts.hostname.encode("idna")
    user, password = _unescaped(parts.username), password or _unescaped(parts.password)
    password.encode()
    return Broker(parts.scheme == "mqtts", parts.hostname, port, user or None, password or None, prefix)


def _unescaped(part: str | None) -> str:
    return unquote(part or "", errors="strict")


def _is_prefix(text: str) -> bool:
    # Topics that begin with "$" are reserved for the broker.
    return all(text.split("/")) and text.isprintable() and not re.search(r"[+#]|^\$", text)
