"""Files and folders that are either whole or not there: temporary name, rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecnn.core.errors import WriteError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, which takes its name only if the block succeeds.

    On any exception the temporary file is removed and `target` is as it was. The suffix is kept, since several writers
    (OpenCV, Keras) choose a format by it. An `OSError` (a full disk, a read-only folder) becomes a `WriteError`.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix="".join(target.suffixes), dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder, which takes the name and the place of `target` only if the block succeeds.

    On any exception what was written is removed and `target` is as it was. An `OSError` becomes a `WriteError`.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True
        ) as temporary:
            written = Path(temporary, "written")
            written.mkdir()
            yield written
            _take_place(written, target, aside=Path(temporary, "former"))
    except OSError as error:
        raise _not_written(target, error) from error


def write_bytes(target: Path, content: bytes) -> None:
    """Writes `content` to `target` atomically. Raises `WriteError`."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Writes `content` to `target` as UTF-8, atomically. Raises `WriteError`."""
    write_bytes(target, content.encode())


def write_json(target: Path, record: Any) -> None:
    """Writes `record` to `target` as indented JSON, atomically. Raises `WriteError`."""
    write_text(target, json.dumps(record, indent=1) + "\n")


def _take_place(folder: Path, target: Path, aside: Path) -> None:
    """Renames `folder` to `target`; what was there goes `aside`, and comes back if that fails."""
    try:
        if target.exists():
            os.replace(target, aside)
        os.replace(folder, target)
    except BaseException:
        if aside.exists() and not target.exists():
            os.replace(aside, target)
        raise


def _not_written(target: Path, error: OSError) -> WriteError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return WriteError(
        f"could not write {target}: {reason}; nothing was changed, free some space or choose another place"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
