"""Digests of photos' contents; a photo that has not changed is not read again.

A file counts as unchanged while its size, its inode and the times of its modification and its change are the same, to
the nanosecond, as in git's index. Two writes within one tick of a file system's clock leave the same times, so a file
that was written just before it was read is not remembered.
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

from edgecnn.core.digest_memory import Remembered, path_key, recall, remember
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.preprocess import decode_image
from edgecnn.core.processors import usable_processors

_SETTLED_NS = 3_000_000_000
"""Age from which a file's times can be trusted: the coarsest clock, that of FAT, ticks every two seconds."""


def photo_digests(
    root: Path, paths: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> list[str | None]:
    """SHA-256 in hex of each file's content, or None for one that cannot be read or is not an image.

    `paths` lie below `root`. `progress(done, total)` is called for every file. The result is the same whatever is
    remembered; what is learnt is remembered also when this is interrupted.
    """
    log = progress or (lambda done, total: None)
    now_ns = time.time_ns()
    by_key = {path_key(path): path for path in paths}
    remembered = recall(root)
    digests: dict[bytes, str | None] = {}
    for key, path in by_key.items():
        if key in remembered and remembered[key].state == _settled_state(path, now_ns):
            digests[key] = remembered[key].digest
            log(len(digests), len(paths))

    learnt: dict[bytes, Remembered] = {}
    unknown = [key for key in by_key if key not in digests]
    readings = map_in_threads(partial(_read, now_ns=now_ns), (by_key[key] for key in unknown), usable_processors())
    try:
        for key, reading in zip(unknown, readings, strict=True):
            digests[key] = reading.digest
            if reading.state is not None:
                learnt[key] = Remembered(reading.state, reading.digest)
            log(len(digests), len(paths))
    finally:
        gone = [key for key in remembered.keys() - by_key.keys() if not os.path.lexists(key)]
        remember(learnt, forget=gone)
    return [digests[key] for key in by_key]


class _Reading(NamedTuple):
    """What a file was found to hold; `state` is None where that is not to be remembered."""

    state: str | None
    digest: str | None


def _read(path: Path, now_ns: int) -> _Reading:
    # Before the content: a write after it shows in the state that the file has then.
    state = _settled_state(path, now_ns)
    try:
        content = path.read_bytes()
    except OSError:
        return _Reading(None, None)
    return _Reading(state, None if decode_image(content) is None else hashlib.sha256(content).hexdigest())


def _settled_state(path: Path, now_ns: int) -> str | None:
    """By what a file is recognized as unchanged; None where it is gone, or its times are too young to tell."""
    try:
        found = path.stat()
    except OSError:
        return None
    if max(found.st_mtime_ns, found.st_ctime_ns) > now_ns - _SETTLED_NS:
        return None
    # Another version of OpenCV may read files that this one cannot.
    return f"{cv2.__version__} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
