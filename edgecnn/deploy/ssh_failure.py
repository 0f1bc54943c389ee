"""What ssh says when it cannot connect, as one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgecnn.core.errors import DeviceError
from edgecnn.deploy.address import Address
from edgecnn.deploy.masking import printable

# The first that is found counts: a changed key is also one that could not be verified.
_CAUSES = (
    (
        r"identification has changed|host key for .* has changed",
        "its host key is not the one that is known: if the device was set up anew, remove the old one with {forget}"
        " and log in once with {command}; if not, somebody may stand in between",
    ),
    (
        r"host key verification failed|no .* host key is known",
        "its host key is not known yet: log in once with {command} and compare the fingerprint",
    ),
    (
        r"could not resolve hostname|name or service not known",
        "nobody knows that name: check its spelling, or give the device's IP address",
    ),
    (
        r"connection refused",
        "nothing answers on that port: switch ssh on with raspi-config on the device, or give another port",
    ),
    (
        r"timed out|no route to host|network is unreachable|host is down",
        "it does not answer: check that it is switched on and in the same network",
    ),
    (
        r"permission denied|too many authentication failures|no supported authentication",
        "it does not accept your key: copy it there with ssh-copy-id {copy_options}{login}, and unlock it with ssh-add",
    ),
    (
        r"bad configuration option|bad owner or permissions|terminating, .* bad|keyword .* extra arguments",
        "your settings for ssh cannot be used: {said}",
    ),
)


def explain_failure(address: Address, said: Sequence[str]) -> DeviceError:
    """What the lines that ssh said when it could not connect amount to."""
    text = "\n".join(said)
    forget = re.search(r"ssh-keygen -f .* -R .*", text)
    words = {
        "login": address.login,
        "command": address.command,
        "copy_options": f"-p {address.port} " if address.port else "",
        "forget": printable(forget[0]) if forget else f"ssh-keygen -R {address.host}",
        "said": printable(said[-1]) if said else "ssh did not say why",
    }
    for pattern, cause in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return DeviceError(f"cannot reach {address}: {cause.format(**words)}")
    return DeviceError(f"cannot reach {address}: {words['said']}; try {address.command}")
