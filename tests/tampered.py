"""Model files as they were exported, but for one thing."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from edgecnn.core.model_file.golden import Golden, GoldenVector, golden_from_json
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file


def flatbuffer_of(path: Path) -> bytes:
    """A model file without its attached files."""
    with zipfile.ZipFile(path) as archive:
        return path.read_bytes()[: min(entry.header_offset for entry in archive.infolist())]


def golden_of(path: Path) -> Golden:
    content = read_model_file(path).golden
    assert content is not None
    return golden_from_json(content, str(path))


def with_golden(source: Path, target: Path, golden: Golden | None, flatbuffer: bytes | None = None) -> Path:
    """A copy of a model file with other golden vectors or none, and another network where one is given."""
    card = read_model_file(source).card
    assert card is not None
    target.write_bytes(append_associated_files(flatbuffer or flatbuffer_of(source), card, golden))
    return target


def with_vectors(source: Path, target: Path, change: Callable[[GoldenVector], GoldenVector], **fields: object) -> Path:
    """A copy of a model file whose second golden vector was changed, and `fields` of all of them together."""
    golden = golden_of(source)
    vectors = [change(vector) if index == 1 else vector for index, vector in enumerate(golden.vectors)]
    changed = golden.model_dump() | {"vectors": [vector.model_dump() for vector in vectors]} | fields
    return with_golden(source, target, Golden.model_validate(changed))
