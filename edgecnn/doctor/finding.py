"""What a check found."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "unknown"]
"""A problem keeps a classifier from running, or from running at its speed now; a warning may come to that."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check."""

    check: str
    status: Status
    found: str
    fix: str = ""
    """What to type or to do; empty where there is nothing to do."""


def output_of(command: Sequence[str], *, timeout_s: float) -> str | None:
    """What a program wrote to stdout; None where it is missing or takes too long."""
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
    """What installs `requirement` where this Python looks for it."""
    if importlib.util.find_spec("pip") is None:
        return "install edgecnn again, with install.sh"
    as_root = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{as_root}{sys.executable} -m pip install '{requirement}'"
