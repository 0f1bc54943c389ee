"""How making or running a device fails."""

from __future__ import annotations

import subprocess
from pathlib import Path


class DeviceError(Exception):
    """The device could not be made, started or asked."""


def run_or_raise(*command: str | Path) -> str:
    """Runs a program of the host and gives what it prints. Raises `DeviceError` with the end of what it complained."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DeviceError(f"{command[0]} is not installed") from None
    if result.returncode:
        complaint = " / ".join(result.stderr.strip().splitlines()[-3:])
        raise DeviceError(f"{' '.join(map(str, command[:4]))} ... left with status {result.returncode}: {complaint}")
    return result.stdout
