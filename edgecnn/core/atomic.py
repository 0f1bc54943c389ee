"""Files and folders that are either complete or absent: they are written under a temporary name, then renamed."""

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
    """Write a file under a temporary name and rename it to `target` only if the block succeeds.

    On any exception the temporary file is removed and `target` is unchanged.

    Args:
        target: File to write; missing parent folders are created.

    Yields:
        Temporary path in the same folder. It has the suffix of `target`, because several writers (OpenCV, Keras)
        choose the format by the suffix.

    Raises:
        WriteError: The block or the renaming raised an `OSError`, such as a full disk or a read-only folder.
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
    """Fill a new folder and let it replace `target` only if the block succeeds.

    On any exception the new folder is removed and `target` is unchanged.

    Args:
        target: Folder to create or to replace; missing parent folders are created.

    Yields:
        New, empty folder.

    Raises:
        WriteError: The block or the renaming raised an `OSError`.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True
        ) as temporary:
            written = Path(temporary, "written")
            written.mkdir()
            yield written
            _replace_folder(target, written, backup=Path(temporary, "former"))
    except OSError as error:
        raise _not_written(target, error) from error


def write_bytes(target: Path, content: bytes) -> None:
    """Write bytes atomically.

    Args:
        target: File to write or to replace.
        content: New content.

    Raises:
        WriteError: The file could not be written; its previous content is unchanged.
    """
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write text as UTF-8, atomically.

    Args:
        target: File to write or to replace.
        content: New content.

    Raises:
        WriteError: The file could not be written; its previous content is unchanged.
    """
    write_bytes(target, content.encode())


def write_json(target: Path, record: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        target: File to write or to replace.
        record: Value that `json.dumps` accepts.

    Raises:
        WriteError: The file could not be written; its previous content is unchanged.
    """
    write_text(target, json.dumps(record, indent=1) + "\n")


def _replace_folder(target: Path, folder: Path, backup: Path) -> None:
    """Rename `folder` to `target`; an existing target is moved to `backup`, and restored if the renaming fails."""
    try:
        if target.exists():
            os.replace(target, backup)
        os.replace(folder, target)
    except BaseException:
        if backup.exists() and not target.exists():
            os.replace(backup, target)
        raise


def _not_written(target: Path, error: OSError) -> WriteError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return WriteError(
        f"could not write {target}: {reason}; nothing was changed; free some space or choose another folder"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
