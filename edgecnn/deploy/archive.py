"""A tar archive of files for a device, with checksums by which the device knows that all of them arrived."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from edgecnn.core.model_file.model_file import sha256_of

Files = Mapping[str, bytes | Path]
"""Content, or the file that contains it, by the name in the archive."""

CHECKSUMS = "SHA256SUMS"
"""Name of the file of checksums in the archive."""
_CHUNK_BYTES = 1 << 16


def checksums(files: Files) -> bytes:
    """Return the checksums in the format that `sha256sum --check` reads.

    Args:
        files: Files of the archive.

    Returns:
        The content of the file `CHECKSUMS`.
    """
    return "".join(f"{_sha256(content)}  {name}\n" for name, content in files.items()).encode()


def write_archive(archive: IO[bytes], files: Files) -> None:
    """Write a tar archive of files that everyone may read and only their owner may write.

    Args:
        archive: Binary file to write to.
        files: Files of the archive.
    """
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


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of a file, from its current position.

    Args:
        file: Binary file to read.

    Yields:
        At most 64 KiB each.
    """
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _sha256(content: bytes | Path) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content)
