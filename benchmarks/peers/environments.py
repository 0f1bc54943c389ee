"""Virtual environments for the peers that cannot live in ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from peers.process import PeerFailed, last_line


def python_of(folder: Path, requirements: Path) -> Path:
    """The Python of the environment `folder`, made from pinned `requirements` where it is missing or older than them.

    The file `.ready` in it says when it was complete, as in the Makefile's environments. Raises `PeerFailed`.
    """
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists() or ready.stat().st_mtime < requirements.stat().st_mtime:
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(python, "-m", "pip", "install", "--quiet", "--requirement", requirements)
        ready.touch()
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerFailed(f"cannot be installed: {last_line(done.stderr) or last_line(done.stdout)}")
