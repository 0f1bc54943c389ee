"""Translation of ssh's connection errors into one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgecnn.core.errors import DeviceError
from edgecnn.deploy.address import Address
from edgecnn.deploy.masking import printable

# The first match counts: ssh reports a changed key as one that could not be verified, too.
_CAUSES = (
    (
        r"identification has changed|host key for .* has changed",
        "its host key has changed: if the device was reinstalled, remove the old key with {forget} and log in once"
        " with {command}; otherwise somebody may be intercepting the connection",
    ),
    (
        r"host key verification failed|no .* host key is known",
        "its host key is not known yet: log in once with {command} and compare the fingerprint",
    ),
    (
        r"could not resolve hostname|name or service not known",
        "unknown host name: check its spelling, or give the device's IP address",
    ),
    (
        r"connection refused",
        "nothing listens on that port: enable ssh with raspi-config on the device, or give another port",
    ),
    (
        r"timed out|no route to host|network is unreachable|host is down",
        "no answer: check that it is switched on and in the same network",
    ),
    (
        r"permission denied|too many authentication failures|no supported authentication",
        "it does not accept your key: copy it there with ssh-copy-id {copy_options}{login}, and unlock it with ssh-add",
    ),
    (
        r"bad configuration option|bad owner or permissions|terminating, .* bad|keyword .* extra arguments",
        "your ssh configuration is invalid: {message}",
    ),
)


def explain_failure(address: Address, lines: Sequence[str]) -> DeviceError:
    """Return the error for a failed connection.

    Args:
        address: The device.
        lines: Output of ssh.

    Returns:
        An error that says what to do.
    """
    text = "\n".join(lines)
    forget = re.search(r"ssh-keygen -f .* -R .*", text)
    details = {
        "login": address.login,
        "command": address.command,
        "copy_options": f"-p {address.port} " if address.port else "",
        "forget": printable(forget[0]) if forget else f"ssh-keygen -R {address.host}",
        "message": printable(lines[-1]) if lines else "ssh gave no reason",
    }
    for pattern, cause in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return DeviceError(f"cannot reach {address}: {cause.format(**details)}")
    return DeviceError(f"cannot reach {address}: {details['message']}; try {address.command}")
