"""Execution of the actions of device.sh, as root."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import chain

from edgecnn.core.errors import DeviceError
from edgecnn.core.progress import Log
from edgecnn.deploy.address import Address
from edgecnn.deploy.device_files import read_device_script
from edgecnn.deploy.masking import printable
from edgecnn.deploy.ssh import Connection, Finished

_ERROR = "error: "

# The arguments that follow become a command that runs as root.
_AS_ROOT = 'test "$(id -u)" = 0 || set -- sudo -n "$@"; exec "$@"'


def run_script(
    connection: Connection,
    arguments: Iterable[str | int],
    send: Iterable[bytes] = (),
    *,
    log: Log | None = None,
    show: Log | None = None,
) -> str:
    """Run device.sh on a device.

    Args:
        connection: Connection to the device.
        arguments: Arguments of the script. They must contain no secrets, since `ps` shows them.
        send: Written to the script's stdin.
        log: Called with each line on stderr except errors, with passwords masked.
        show: Called with each line on stdout as it arrives.

    Returns:
        The script's stdout.

    Raises:
        DeviceError: The script failed; the message contains its reason. Or the connection was cut.
    """
    script = read_device_script()
    # The script comes first on stdin. It is read completely before it runs, because an incomplete one does nothing.
    read_script = f'eval "$(head -c {len(script)})"'
    command = ["sh", "-c", _AS_ROOT, "edgecnn", "sh", "-c", read_script, "edgecnn", *map(str, arguments)]

    def log_printable(line: str) -> None:
        if log and (text := printable(line)) and not line.startswith(_ERROR):
            log(text)

    finished = connection.run(
        command,
        chain([script], send),
        log=log_printable,
        show=show,
        advice="the device completes or reverts on its own what it has begun; check with edgecnn deploy status"
        f" {connection.address}",
    )
    if finished.status:
        raise DeviceError(f"{connection.address}: {reason_of(finished, connection.address)}")
    return finished.stdout


def reason_of(finished: Finished, address: Address) -> str:
    """Return why a command on a device failed, from its last error or its last line.

    Args:
        finished: The command, which failed.
        address: The device, for advice about sudo.

    Returns:
        One line, with passwords masked.
    """
    lines = [line for line in finished.stderr if printable(line)]
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    reason = printable((errors or lines or [f"the command failed with exit status {finished.status}"])[-1])
    if not errors and "sudo" in reason:
        return f"expected root, or sudo without a password, got: {reason}; {_sudo_advice(address)}"
    return reason


def _sudo_advice(address: Address) -> str:
    rule = f"{address.user or 'USER'} ALL=(ALL) NOPASSWD: ALL"
    return f"on the device: echo {shlex.quote(rule)} | sudo tee /etc/sudoers.d/edgecnn"
