"""Address of a device: `ssh://user@host:port`, whose parts are passed to the system's ssh."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgecnn.core.errors import InputError

_EXAMPLE = "ssh://pi@192.168.1.20 or ssh://pi@door.local:2222"

# A host may be an alias in ~/.ssh/config. No part may begin with "-", or ssh would take it for an option.
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[a-z0-9_][a-z0-9_.-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9a-f:.]+(?:%[a-z0-9_.-]+)?)\]|(?P<host>[a-z0-9_][a-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE | re.ASCII,
)


class Address(NamedTuple):
    """A host, with the user and port if they are not left to ssh's configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def login(self) -> str:
        """The destination as one types it: `pi@door.local`."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def command(self) -> str:
        """The command with which a person logs in."""
        return " ".join(["ssh", *(["-p", str(self.port)] if self.port else []), self.login])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


def parse_address(text: str) -> Address:
    """Parse an address.

    Args:
        text: Such as `ssh://pi@door.local:2222`.

    Returns:
        The address.

    Raises:
        InputError: The text is not an address. The message does not repeat a possible password.
    """
    if re.match(r"ssh://[^@/]*:[^@]*@", text, re.IGNORECASE):
        raise InputError("an address must not contain a password: edgecnn logs in with a key, see ssh-copy-id")
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise InputError(f"expected a device's address such as {_EXAMPLE}, got {text!r:.80}")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise InputError(f"expected a port from 1 to 65535 in {text}, got {port}")
    return Address(match["ipv6"] or match["host"], match["user"], port)
