"""Exported model files with a single change."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from edgecnn.core.model_file.golden import Golden, GoldenVector, golden_from_json
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file


def flatbuffer_of(path: Path) -> bytes:
    """Return a model file without its associated files."""
    with zipfile.ZipFile(path) as archive:
        return path.read_bytes()[: min(entry.header_offset for entry in archive.infolist())]


def golden_of(path: Path) -> Golden:
    content = read_model_file(path).golden
    assert content is not None
    return golden_from_json(content, str(path))


def with_golden(source: Path, target: Path, golden: Golden | None, flatbuffer: bytes | None = None) -> Path:
    """Write a copy of a model file with other golden vectors or none, and another network if one is given."""
    card = read_model_file(source).card
    assert card is not None
    target.write_bytes(append_associated_files(flatbuffer or flatbuffer_of(source), card, golden))
    return target


def with_vectors(source: Path, target: Path, change: Callable[[GoldenVector], GoldenVector], **fields: object) -> Path:
    """Write a copy of a model file with a changed second golden vector, and with changed `fields` of `Golden`."""
    golden = golden_of(source)
    vectors = [change(vector) if index == 1 else vector for index, vector in enumerate(golden.vectors)]
    changed = golden.model_dump() | {"vectors": [vector.model_dump() for vector in vectors]} | fields
    return with_golden(source, target, Golden.model_validate(changed))
