"""Fixtures that take long to create, built once for all processes of a test session."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder that all processes of this test session share."""
    folder = tmp_path_factory.getbasetemp()
    # Each worker of pytest-xdist has a folder of its own in the folder of the session.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def build_once(
    tmp_path_factory: pytest.TempPathFactory, key: str, build: Callable[[Path], object], *, name: str | None = None
) -> Path:
    """Return a folder of this session; the first process that asks for it builds it, and the others wait.

    Args:
        tmp_path_factory: Pytest's factory.
        key: Name of what is built, unique in the test suite.
        build: Called with the path of a new folder whose parent exists; it creates and fills the folder.
        name: Name of the folder; `key` if not given.

    Returns:
        The folder. No test may change what it contains.
    """
    shared = session_folder(tmp_path_factory) / "shared" / key
    shared.mkdir(parents=True, exist_ok=True)
    done, content = shared / "done", shared / (name or key)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(content, ignore_errors=True)  # A build that failed may have left a part.
            build(content)
            done.touch()
    return content
