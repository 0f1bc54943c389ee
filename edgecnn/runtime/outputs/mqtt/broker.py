"""Which broker: from the text after `--mqtt` to host, login and topic prefix."""

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
    """Where to publish, and as whom."""

    tls: bool
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    prefix: str
    """What all topics begin with."""

    @property
    def name(self) -> str:
        """Fit to be printed."""
        scheme = "mqtts" if self.tls else "mqtt"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}" + ("" if self.port == _PORTS[scheme] else f":{self.port}")


def parse_broker(address: str, password: str | None = None) -> Broker:
    """What `address` says, with `password`, if there is one, for its own. Raises `InputError`, without a password."""
    try:
        broker = _parsed(address, password)
    except ValueError:
        masked = re.sub(r"^([a-z]+://)?.*@", r"\1***@", address, flags=re.IGNORECASE | re.DOTALL)
        raise InputError(
            "expected mqtt://[user[:password]@]host[:port][/topic/prefix] or mqtts://..., got "
            f"{printable_address(masked)!r}; write special characters as %XX, and no + or # in the prefix"
        ) from None
    if broker.password and not broker.user:
        raise InputError(f"expected a user to go with the password of {broker.name}; write mqtt://user@host")
    return broker


def _parsed(address: str, password: str | None) -> Broker:
    """Raises `ValueError`."""
    parts = urlsplit(address)
    # A password with one of these in it has to be escaped, or a piece of it would become a topic.
    if not address.isprintable() or any(character in address for character in "?# ") or "@" in parts.path:
        raise ValueError
    prefix = _unescaped(parts.path).strip("/") or f"edgecnn/{topic_level(socket.gethostname())}"
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    if parts.scheme not in _PORTS or not parts.hostname or not port or not _is_prefix(prefix):
        raise ValueError
    # Raises for a name that could not be looked up.
    parts.hostname.encode("idna")
    user, password = _unescaped(parts.username), password or _unescaped(parts.password)
    password.encode()
    return Broker(parts.scheme == "mqtts", parts.hostname, port, user or None, password or None, prefix)


def _unescaped(part: str | None) -> str:
    return unquote(part or "", errors="strict")


def _is_prefix(text: str) -> bool:
    # Topics that begin with "$" are the broker's own.
    return all(text.split("/")) and text.isprintable() and not re.search(r"[+#]|^\$", text)
