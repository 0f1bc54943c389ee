"""Where a device is: `ssh://user@host:port`, as the system's ssh understands its parts."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgecnn.core.errors import InputError

_EXAMPLE = "ssh://pi@192.168.1.20 or ssh://pi@door.local:2222"

# A host may be an alias in ~/.ssh/config. Nothing begins with "-": ssh would take it for an option.
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[a-z0-9_][a-z0-9_.-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9a-f:.]+(?:%[a-z0-9_.-]+)?)\]|(?P<host>[a-z0-9_][a-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE | re.ASCII,
)


class Address(NamedTuple):
    """A host, and the user and port where they are not left to ssh's own settings."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def login(self) -> str:
        """As one types it: `pi@door.local`."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def command(self) -> str:
        """By which a person logs in."""
        return " ".join(["ssh", *(["-p", str(self.port)] if self.port else []), self.login])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


def parse_address(text: str) -> Address:
    """The address that `text` is. Raises `InputError`; what may be a password in it is not repeated."""
    if re.match(r"ssh://[^@/]*:[^@]*@", text, re.IGNORECASE):
        raise InputError("an address has no password in it: edgecnn logs in with a key, see ssh-copy-id")
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise InputError(f"expected a device's address such as {_EXAMPLE}, got {text!r:.80}")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise InputError(f"expected a port from 1 to 65535 in {text}, got {port}")
    return Address(found["ipv6"] or found["host"], found["user"], port)
