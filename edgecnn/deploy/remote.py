"""Running edgecnn on a device, with files of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.errors import DeviceError, InputError
from edgecnn.core.progress import Log
from edgecnn.deploy.address import Address
from edgecnn.deploy.archive import pieces_of, write_archive
from edgecnn.deploy.layout import EDGECNN
from edgecnn.deploy.masking import printable
from edgecnn.deploy.ssh import Connection

_NOT_INSTALLED = 127

# The words are edgecnn's, and the number of bytes on stdin that are files. What is on stdin behind them does not
# matter, but that it ends does: the connection was cut, and nobody waits for the result.
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
    """What an `edgecnn` command left with on a device."""

    status: int
    stdout: str


def run_remote(
    address: Address, words: Sequence[str | Path], *, config: Path | None = None, log: Log | None = None
) -> RemoteRun:
    """Runs `edgecnn WORDS` on a device, where each `Path` among the words is a file or folder that is taken there.

    They lie in a private folder that is removed afterwards, also when the connection is cut. What the command writes
    to stderr goes to `tell` line by line, masked. `config` are settings for ssh. Raises `InputError` for a file that is
    not there, and `DeviceError` if the device cannot be reached or has no edgecnn; what the command itself leaves with
    is the caller's to judge.
    """
    files: dict[str, bytes | Path] = {}
    there = [_taken_along(word, number, files) for number, word in enumerate(words)]
    with tempfile.TemporaryFile() as archive, Connection(address, config) as connection:
        write_archive(archive, files)
        size_bytes = archive.tell()
        archive.seek(0)
        command = ["sh", "-c", _SCRIPT, "edgecnn", str(size_bytes), EDGECNN, *there]
        pass_on = None if log is None else lambda line: log(printable(line))
        finished = connection.run(
            command, pieces_of(archive), log=pass_on, hold=True, when_cut="what ran there has ended; try again"
        )
    if finished.status == _NOT_INSTALLED and not finished.stderr:
        raise DeviceError(f"edgecnn is not installed on {address}: edgecnn deploy MODEL {address} installs it")
    return RemoteRun(finished.status, finished.stdout)


def _taken_along(word: str | Path, number: int, files: dict[str, bytes | Path]) -> str:
    """The word as it is to be on the device; adds what it names to `files`, in a folder of its own."""
    if isinstance(word, str):
        return word
    if not word.exists():
        raise InputError(f"no such file or folder: {word}")
    name = f"{number}/{word.resolve().name}"
    inside = sorted(path for path in word.rglob("*") if path.is_file()) if word.is_dir() else [word]
    for path in inside:
        files[f"{name}/{path.relative_to(word)}" if word.is_dir() else name] = path
    return name
