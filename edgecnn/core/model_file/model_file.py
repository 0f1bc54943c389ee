"""Reading and writing of model files.

One `.tflite` file is the whole contract: weights, labels, preprocessing, quantization and provenance. The associated
files are a zip archive appended to the flatbuffer, as TFLite metadata prescribes, so that the device reads them with
the standard library's `zipfile`.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.labels import LabelMap, labels_from_text, labels_to_text
from edgecnn.core.model_file.card import CARD_FILE, ModelCard, card_from_json
from edgecnn.core.model_file.golden import GOLDEN_FILE, Golden
from edgecnn.core.model_file.tflite_metadata import (
    DAMAGED,
    LABELS_FILE,
    Normalization,
    find_metadata,
    read_label_files,
    read_normalization,
)
from edgecnn.core.preprocess import PreprocessSpec

TFLITE_IDENTIFIER = b"TFL3"

# A wrong checksum, impossible entry, truncated or invalid stream, unknown method or version, or an encrypted entry.
_DAMAGED_ZIP = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    OSError,
    EOFError,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file and the facts about it.

    A fact that a file without a card does not state is None until the user states it.
    """

    path: Path
    card: ModelCard | None
    labels: LabelMap | None
    preprocess: PreprocessSpec | None
    normalization: Normalization | None
    """Normalization from standard metadata; a hint for files without a card."""
    golden: bytes | None = field(default=None, repr=False)
    """`golden.json`, not parsed: only a verification needs it, and an error in it must not stop a camera."""

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        return self.path.stem

    def with_overrides(self, labels: LabelMap | None, preprocess: PreprocessSpec | None) -> ModelFile:
        """Return the model file with facts that the user states, which override those of the file.

        Args:
            labels: Labels, or None to keep the file's.
            preprocess: Preprocessing, or None to keep the file's.

        Returns:
            The changed model file.
        """
        return replace(self, labels=labels or self.labels, preprocess=preprocess or self.preprocess)


def read_model_file(path: Path | str) -> ModelFile:
    """Read the card, labels and metadata of a model file, but not its weights.

    Args:
        path: Model file, with or without a card.

    Returns:
        The model file.

    Raises:
        ModelFileError: The file is missing, truncated, corrupted or not a TFLite model, its card is invalid, or its
            labels contradict the card.
    """
    path = Path(path)
    content = read_tflite(path)
    attached = _attached_files(content, path)
    normalization, label_files = _standard_metadata(content, path)
    card = card_from_json(attached[CARD_FILE], str(path)) if CARD_FILE in attached else None
    listed = [_listed_labels(attached, name, path) for name in label_files]
    labels = _card_labels(card, path) if card else next(iter(listed), None)
    # Without a card there may be several label files: the same labels in several languages.
    if card and any(other != labels for other in listed):
        raise ModelFileError(f"{path}: the labels of its metadata and of its model card differ; export the model again")
    preprocess = card.preprocess if card else None
    return ModelFile(path, card, labels, preprocess, normalization, attached.get(GOLDEN_FILE))


def read_tflite(path: Path) -> bytes:
    """Read the bytes of a model file.

    Args:
        path: Model file.

    Returns:
        Content of the file, which has the identifier of a TFLite model; the rest is not checked.

    Raises:
        ModelFileError: The file is missing, cannot be read, or has no such identifier.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"no such model file: {path}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; expected a .tflite file") from None
    if content[4:8] != TFLITE_IDENTIFIER:
        raise ModelFileError(
            f"{path} is not a TFLite model: expected {TFLITE_IDENTIFIER!r} at byte 4, got {content[4:8]!r}"
        )
    return content


def sha256_of(path: Path) -> str:
    """Hash a file.

    Args:
        path: Any file.

    Returns:
        SHA-256 of the content in hex.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def network_sha256(path: Path) -> str:
    """Hash the flatbuffer of a model file, which is the bytes before its attached files.

    Args:
        path: Model file.

    Returns:
        SHA-256 in hex.

    Raises:
        ModelFileError: The file is missing, cannot be read or is not a TFLite model.
    """
    content = read_tflite(path)
    archive = _open_zip(content)
    entries = archive.infolist() if archive else []
    return hashlib.sha256(content[: min((entry.header_offset for entry in entries), default=None)]).hexdigest()


def append_associated_files(flatbuffer: bytes, card: ModelCard, golden: Golden | None = None) -> bytes:
    """Build a model file.

    Args:
        flatbuffer: TFLite model.
        card: Model card.
        golden: Golden vectors, or None for a file without them.

    Returns:
        `flatbuffer`, followed by a zip archive of `labels.txt`, the card and the golden vectors. Equal arguments give
        equal bytes.
    """
    files = {LABELS_FILE: labels_to_text(card.labels), CARD_FILE: card.model_dump_json(indent=1)}
    if golden:
        files[GOLDEN_FILE] = golden.model_dump_json(indent=1)
    output = io.BytesIO(flatbuffer)
    # Mode "a" appends an archive to bytes that are not one. MediaPipe maps the files in place, so do not compress them.
    with zipfile.ZipFile(output, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            # A fixed date makes equal models equal to the byte.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return output.getvalue()


def _open_zip(content: bytes) -> zipfile.ZipFile | None:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        return None


def _attached_files(content: bytes, path: Path) -> dict[str, bytes]:
    try:
        archive = _open_zip(content)
        return {name: archive.read(name) for name in archive.namelist()} if archive else {}
    except _DAMAGED_ZIP as error:
        raise ModelFileError(f"{path}: its attached files are corrupted: {error}; copy or export it again") from None


def _standard_metadata(content: bytes, path: Path) -> tuple[Normalization | None, list[str]]:
    try:
        metadata = find_metadata(content)
        if metadata is None:
            return None, []
        return read_normalization(metadata), read_label_files(metadata)
    except DAMAGED:
        raise ModelFileError(f"{path} is truncated or corrupted; copy or export it again") from None


def _card_labels(card: ModelCard, path: Path) -> LabelMap:
    try:
        return LabelMap(card.labels)
    except InputError as error:
        raise ModelFileError(f"{path}: the model card is invalid: {error}") from None


def _listed_labels(attached: dict[str, bytes], name: str, path: Path) -> LabelMap:
    if name not in attached:
        raise ModelFileError(f"{path} ends before its {name}: the file is truncated; copy or export it again")
    try:
        return labels_from_text(attached[name].decode("utf-8", errors="replace"))
    except InputError as error:
        raise ModelFileError(f"{path}: {name}: {error}") from None
