"""Digests of photos' contents; a photo that has not changed is not read again.

A file counts as unchanged while its size, its inode and the times of its last modification and status change are the
same, to the nanosecond, as in git's index. Two writes within one tick of a file system's clock leave the same times, so
the digest of a file that was written just before it was read is not cached.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2

from edgecnn.core.digest_cache import CachedPhoto, load_cached, path_key, update_cache
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.preprocess import decode_image
from edgecnn.core.processors import usable_processors

_SETTLED_NS = 3_000_000_000
"""Age from which a file's times can be trusted: the coarsest clock, that of FAT, ticks every two seconds."""


def photo_digests(
    root: Path, paths: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> list[str | None]:
    """Return the digest of every photo.

    The result does not depend on what is cached. Digests that were computed before an interruption are cached too.

    Args:
        root: Folder that contains all photos.
        paths: Photos below `root`.
        progress: Called as `progress(done, total)` for every file.

    Returns:
        SHA-256 of each file's content in hex, or None for a file that cannot be read or is not an image.
    """
    report = progress or (lambda done, total: None)
    now_ns = time.time_ns()
    by_key = {path_key(path): path for path in paths}
    cached = load_cached(root)
    digests: dict[bytes, str | None] = {}
    for key, path in by_key.items():
        if key in cached and cached[key].state == _settled_state(path, now_ns):
            digests[key] = cached[key].digest
            report(len(digests), len(paths))

    new: dict[bytes, CachedPhoto] = {}
    unknown = [key for key in by_key if key not in digests]
    readings = map_in_threads(partial(_read, now_ns=now_ns), (by_key[key] for key in unknown), usable_processors())
    try:
        for key, reading in zip(unknown, readings, strict=True):
            digests[key] = reading.digest
            if reading.state is not None:
                new[key] = CachedPhoto(reading.state, reading.digest)
            report(len(digests), len(paths))
    finally:
        deleted = [key for key in cached.keys() - by_key.keys() if not os.path.lexists(key)]
        update_cache(new, remove=deleted)
    return [digests[key] for key in by_key]


class _Reading(NamedTuple):
    """State and digest of a file; `state` is None if the digest must not be cached."""

    state: str | None
    digest: str | None


def _read(path: Path, now_ns: int) -> _Reading:
    # Taken before the content is read, so that a later write to the file changes its state.
    state = _settled_state(path, now_ns)
    try:
        content = path.read_bytes()
    except OSError:
        return _Reading(None, None)
    return _Reading(state, None if decode_image(content) is None else hashlib.sha256(content).hexdigest())


def _settled_state(path: Path, now_ns: int) -> str | None:
    """Return the state used to detect changes, or None if the file is missing or was modified too recently."""
    try:
        status = path.stat()
    except OSError:
        return None
    if max(status.st_mtime_ns, status.st_ctime_ns) > now_ns - _SETTLED_NS:
        return None
    # Another version of OpenCV may be able to decode files that this one cannot.
    return f"{cv2.__version__} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
