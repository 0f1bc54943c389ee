"""Carrying out an action of device.sh, as root."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import chain

from edgecnn.core.errors import DeviceError
from edgecnn.core.progress import Log
from edgecnn.deploy.address import Address
from edgecnn.deploy.layout import device_script
from edgecnn.deploy.masking import printable
from edgecnn.deploy.ssh import Connection, Finished

_ERROR = "error: "

# The words that follow become a command of root's.
_AS_ROOT = 'test "$(id -u)" = 0 || set -- sudo -n "$@"; exec "$@"'


def run_script(
    connection: Connection,
    words: Iterable[str | int],
    send: Iterable[bytes] = (),
    *,
    log: Log | None = None,
    show: Log | None = None,
) -> str:
    """What device.sh prints, told to do `words`, with `send` on its stdin; `tell` gets what else it says, masked.

    Nothing that must not be seen may be in `words`, which `ps` shows. Raises `DeviceError` with the reason it gives.
    """
    script = device_script()
    # The script comes first on stdin: all of it, for a part of it does nothing.
    read_script = f'eval "$(head -c {len(script)})"'
    command = ["sh", "-c", _AS_ROOT, "edgecnn", "sh", "-c", read_script, "edgecnn", *map(str, words)]

    def pass_on(line: str) -> None:
        if log and (text := printable(line)) and not line.startswith(_ERROR):
            log(text)

    finished = connection.run(
        command,
        chain([script], send),
        log=pass_on,
        show=show,
        when_cut="the device itself finishes or takes back what was begun; look with edgecnn deploy status"
        f" {connection.address}",
    )
    if finished.status:
        raise DeviceError(f"{connection.address}: {reason_of(finished, connection.address)}")
    return finished.stdout


def reason_of(finished: Finished, address: Address) -> str:
    """Why a command on a device failed, by what it said last: in one line, masked."""
    said = [line for line in finished.stderr if printable(line)]
    errors = [line.removeprefix(_ERROR) for line in said if line.startswith(_ERROR)]
    reason = printable((errors or said or [f"it left with status {finished.status}"])[-1])
    if not errors and "sudo" in reason:
        return f"expected root, or sudo without a password, got: {reason}; {_how_to_be_root(address)}"
    return reason


def _how_to_be_root(address: Address) -> str:
    rule = f"{address.user or 'USER'} ALL=(ALL) NOPASSWD: ALL"
    return f"on the device: echo {shlex.quote(rule)} | sudo tee /etc/sudoers.d/edgecnn"
