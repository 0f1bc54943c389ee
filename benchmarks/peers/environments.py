"""Virtual environments for the peers that cannot share edgecnn's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from peers.process import PeerFailed, last_line


def python_of(folder: Path, requirements: Path) -> Path:
    """Return the Python of an environment, which is created if it is missing or older than its requirements.

    The file `.ready` in it marks when it was complete, as in the Makefile's environments.

    Args:
        folder: Folder of the environment.
        requirements: File of pinned requirements.

    Returns:
        Path of the interpreter.

    Raises:
        PeerFailed: The environment cannot be created.
    """
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists() or ready.stat().st_mtime < requirements.stat().st_mtime:
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(python, "-m", "pip", "install", "--quiet", "--requirement", requirements)
        ready.touch()
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerFailed(f"cannot be installed: {last_line(done.stderr) or last_line(done.stdout)}")
