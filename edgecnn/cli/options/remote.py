"""The option `--on ssh://pi@door.local`, which runs a command on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import say

if TYPE_CHECKING:
    from edgecnn.deploy.remote_command import RemoteRun

On = Annotated[
    str | None,
    typer.Option(
        help="Run the command on this device, such as ssh://pi@door.local, with the files of this machine.",
    ),
]
SshConfig = Annotated[
    Path | None, typer.Option(help="With --on: configuration file for ssh, instead of ~/.ssh/config.")
]


def to_argv(options: Mapping[str, Path | str | float | None]) -> list[str | Path]:
    """Return the command-line arguments for options by name.

    An option whose value is None or False is left out, and one whose value is True is a flag without a value. A `Path`
    stays one, so that `run_remote` sends the file along.
    """
    argv: list[str | Path] = []
    for name, value in options.items():
        if value is True:
            argv.append(name)
        elif value is not None and value is not False:
            argv += [name, value if isinstance(value, Path) else str(value)]
    return argv


def run_on_device(on: str, argv: Sequence[str | Path], ssh_config: Path | None) -> RemoteRun:
    """Run `edgecnn ARGV` on a device and log what it writes to stderr; return its stdout and exit status."""
    from edgecnn.deploy.address import parse_address
    from edgecnn.deploy.remote_command import run_remote

    return run_remote(parse_address(on), argv, config=ssh_config, log=say)
