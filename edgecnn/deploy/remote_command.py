"""Running an edgecnn command on a device, with files of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.errors import DeviceError, InputError
from edgecnn.core.progress import Log
from edgecnn.deploy.address import Address
from edgecnn.deploy.archive import chunks_of, write_archive
from edgecnn.deploy.device_files import EDGECNN
from edgecnn.deploy.masking import printable
from edgecnn.deploy.ssh import Connection

_NOT_INSTALLED = 127
"""Exit status of the script below if edgecnn is missing."""

# The arguments are the size of the archive on stdin in bytes, and edgecnn's command line. Nothing is read from stdin
# after the archive, but its end means that the connection was cut: the command is killed, since nobody waits for the
# result.
_SCRIPT = """
set -eu
bytes=$1
shift
[ -x "$1" ] || exit 127
folder=$(mktemp -d "${TMPDIR:-/tmp}/edgecnn.XXXXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap '' PIPE
cd "$folder"
head -c "$bytes" | tar -x -f -
exec 3<&0
"$@" < /dev/null &
work=$!
{ cat <&3; kill "$work"; } > /dev/null 2>&1 &
watch=$!
exec 3<&-
status=0
wait "$work" || status=$?
kill "$watch" 2> /dev/null || true
exit "$status"
"""


class RemoteRun(NamedTuple):
    """The result of an `edgecnn` command on a device."""

    status: int
    """Exit status."""
    stdout: str


def run_remote(
    address: Address, arguments: Sequence[str | Path], *, config: Path | None = None, log: Log | None = None
) -> RemoteRun:
    """Run `edgecnn ARGUMENTS` on a device.

    The files are sent to a private folder, which is removed afterwards, even if the connection is cut.

    Args:
        address: Device to run it on.
        arguments: Arguments of the command; each `Path` is a file or folder of this machine that is sent.
        config: Configuration file for ssh, used instead of `~/.ssh/config`.
        log: Called with each line that the command writes to stderr, with passwords masked.

    Returns:
        The exit status and the output. A command that fails is not an error here.

    Raises:
        DeviceError: The device cannot be reached, or edgecnn is not installed on it.
        InputError: A file does not exist.
    """
    files: dict[str, bytes | Path] = {}
    remote_arguments = [_add_files(argument, number, files) for number, argument in enumerate(arguments)]
    with tempfile.TemporaryFile() as archive, Connection(address, config) as connection:
        write_archive(archive, files)
        size_bytes = archive.tell()
        archive.seek(0)
        command = ["sh", "-c", _SCRIPT, "edgecnn", str(size_bytes), EDGECNN, *remote_arguments]
        log_printable = None if log is None else lambda line: log(printable(line))
        finished = connection.run(
            command,
            chunks_of(archive),
            log=log_printable,
            keep_stdin=True,
            advice="the command there has been stopped; try again",
        )
    if finished.status == _NOT_INSTALLED and not finished.stderr:
        raise DeviceError(f"edgecnn is not installed on {address}: edgecnn deploy MODEL {address} installs it")
    return RemoteRun(finished.status, finished.stdout)


def _add_files(argument: str | Path, number: int, files: dict[str, bytes | Path]) -> str:
    """Add the files that an argument names to `files`, in their own folder; return the argument for the device."""
    if isinstance(argument, str):
        return argument
    if not argument.exists():
        raise InputError(f"no such file or folder: {argument}")
    name = f"{number}/{argument.resolve().name}"
    if not argument.is_dir():
        files[name] = argument
        return name
    for path in sorted(path for path in argument.rglob("*") if path.is_file()):
        files[f"{name}/{path.relative_to(argument)}"] = path
    return name
