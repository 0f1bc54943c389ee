"""The error of devices, and running programs of the host."""

from __future__ import annotations

import subprocess
from pathlib import Path


class DeviceError(Exception):
    """The device could not be created, started or reached."""


def run_or_raise(*command: str | Path) -> str:
    """Run a program of the host.

    Args:
        command: Program and its arguments.

    Returns:
        Its output.

    Raises:
        DeviceError: The program failed; the message contains the last lines of its error output.
    """
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DeviceError(f"{command[0]} is not installed") from None
    if result.returncode:
        reason = " / ".join(result.stderr.strip().splitlines()[-3:])
        raise DeviceError(
            f"{' '.join(map(str, command[:4]))} ... failed with exit status {result.returncode}: {reason}"
        )
    return result.stdout
