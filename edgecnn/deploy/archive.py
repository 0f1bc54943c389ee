"""Files on their way to a device: one tar archive, and the checksums by which it knows that all of them arrived."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from edgecnn.core.model_file.model_file import sha256_of

Files = Mapping[str, bytes | Path]
"""Content, or the file that has it, by the name that it is to have in the archive."""

CHECKSUMS = "SHA256SUMS"
_PIECE_BYTES = 1 << 16


def checksums(files: Files) -> bytes:
    """What `sha256sum --check` reads."""
    return "".join(f"{_sha256(content)}  {name}\n" for name, content in files.items()).encode()


def write_archive(archive: IO[bytes], files: Files) -> None:
    """Writes a tar archive of `files`, which anyone may read and nobody but their owner write."""
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            if isinstance(content, bytes):
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                with open(content, "rb") as file:
                    entry.size = content.stat().st_size
                    tar.addfile(entry, file)


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file from where it stands."""
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _sha256(content: bytes | Path) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content)
