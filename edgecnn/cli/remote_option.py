"""Commands that run on a device instead of here: `--on ssh://pi@door.local`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgecnn.cli.console import say

On = Annotated[
    str | None, typer.Option(help="Run it on this device instead, such as ssh://pi@door.local, with the files of here.")
]
SshConfig = Annotated[Path | None, typer.Option(help="With --on: settings for ssh, in place of ~/.ssh/config.")]


def to_argv(options: Mapping[str, Path | str | float | None]) -> list[str | Path]:
    """The options that were given, and their values, as `run_there` takes them."""
    return [
        word
        for name, value in options.items()
        if value is not None
        for word in (name, value if isinstance(value, Path) else str(value))
    ]


def run_remote_and_exit(on: str, words: Sequence[str | Path], ssh_config: Path | None) -> None:
    """Runs `edgecnn WORDS` on the device `on`, says and prints what it does, and leaves with its exit status."""
    from edgecnn.deploy.address import parse_address
    from edgecnn.deploy.remote_command import run_remote

    done = run_remote(parse_address(on), words, config=ssh_config, log=say)
    print(done.stdout, end="")
    raise typer.Exit(done.status)
