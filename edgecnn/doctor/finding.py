"""The result of a check, and helpers that all checks share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "unknown"]
"""A problem keeps a classifier from running, or from running at full speed now; a warning may become one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check."""

    check: str
    """Name of the check."""
    status: Status
    found: str
    """Observed state, in a few words."""
    fix: str = ""
    """Command to type or step to take; empty if there is nothing to do."""


def output_of(command: Sequence[str], *, timeout_s: float) -> str | None:
    """Run a program and capture its stdout.

    Args:
        command: Program and its arguments.
        timeout_s: Seconds after which the program is killed.

    Returns:
        None if the program is missing or takes too long.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def pip_install(requirement: str) -> str:
    """Return the command that installs a package where this Python finds it.

    Args:
        requirement: A requirement as pip understands it.

    Returns:
        A shell command, or the advice to install edgecnn again if this Python has no pip.
    """
    if importlib.util.find_spec("pip") is None:
        return "reinstall edgecnn with install.sh"
    as_root = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{as_root}{sys.executable} -m pip install '{requirement}'"
