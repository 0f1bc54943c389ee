"""A reader for PyTorch checkpoints that needs no PyTorch and never runs code that a pickle references.

It reads the format that `torch.save` wrote before version 1.6, for a dictionary of tensors by name: five consecutive
pickles (magic number, version, the writer's byte order, the dictionary, the order of the storages), followed by each
storage's number of elements as int64 and its elements. A tensor is a strided view of a storage.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import ModelFileError

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_ZIP_SIGNATURE = b"PK\x03\x04"
_STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]


class _View(NamedTuple):
    """A tensor whose storage is not read yet. Offset and strides are in elements."""

    storage: _Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_checkpoint(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read all tensors of a `.pth` file.

    Args:
        path: File in the format of `torch.save` before version 1.6.

    Returns:
        Tensors by name, in the file's order and in the shape that PyTorch would show. Integers (the step counters of
        batch normalization) are converted to float32 as well.

    Raises:
        ModelFileError: The file is missing, truncated or in another format, or its pickle references anything except
            tensors.
    """
    content = _read(path)
    stream = io.BytesIO(content)
    try:
        views = _read_views(stream, path)
        order = _CheckpointUnpickler(stream, path).load()
        storages = _read_storages(content, stream.tell(), order, {view.storage for view in views.values()})
        return {name: _materialize(name, view, storages) for name, view in views.items()}
    except ModelFileError:
        raise
    except Exception as error:  # noqa: BLE001 - corrupted bytes can make the unpickler fail in any way
        raise ModelFileError(f"{path} is truncated or corrupted ({error}); download the checkpoint again") from None


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"no such checkpoint file: {path}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}; expected a PyTorch .pth file") from None
    if content.startswith(_ZIP_SIGNATURE):
        raise ModelFileError(
            f"{path} is a zip file; expected PyTorch's older format: load it in PyTorch and save the dictionary of "
            "tensors with torch.save(..., _use_new_zipfile_serialization=False)"
        )
    return content


def _read_views(stream: io.BytesIO, path: Path) -> dict[str, _View]:
    try:
        magic = _CheckpointUnpickler(stream, path).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError):
        magic = None
    if magic != _MAGIC:
        raise ModelFileError(f"{path} is not a PyTorch checkpoint: it does not start with PyTorch's magic number")
    version, system = (_CheckpointUnpickler(stream, path).load() for _ in range(2))
    if version != _VERSION or not system["little_endian"]:
        raise ModelFileError(
            f"{path}: expected version {_VERSION} in little-endian order, got {version!r}; save it again"
        )
    tensors = _CheckpointUnpickler(stream, path).load()
    if not isinstance(tensors, Mapping):
        raise ModelFileError(f"{path}: expected a dictionary of tensors by name, got a {type(tensors).__name__}")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise ModelFileError(
                f"{path}: expected a dictionary of tensors by name, got {type(value).__name__} {name!r}"
            )
    return dict(tensors)


class _CheckpointUnpickler(pickle.Unpickler):
    """An unpickler that builds `_View`s and refuses every global that a dictionary of tensors does not need."""

    def __init__(self, stream: io.BytesIO, path: Path) -> None:
        super().__init__(stream)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._view
        if module == "torch" and name in _STORAGE_TYPES:
            return name
        raise ModelFileError(
            f"{self._path} refers to {module}.{name}, which a weights file does not need; it was refused and nothing "
            "was executed: use a checkpoint that contains only tensors"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, type_name, key, _location, _elements, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unknown kind of storage {kind!r}")
        return _Storage(str(key), _STORAGE_TYPES[type_name])

    def _view(self, storage: _Storage, offset: int, sizes: Any, strides: Any, *_ignored: Any) -> _View:
        return _View(storage, int(offset), tuple(map(int, sizes)), tuple(map(int, strides)))


def _read_storages(
    content: bytes, position: int, order: Sequence[str], known: Iterable[_Storage]
) -> dict[str, NDArray[Any]]:
    dtypes = {storage.key: storage.dtype for storage in known}
    storages: dict[str, NDArray[Any]] = {}
    for key in order:
        count = int.from_bytes(content[position : position + 8], "little", signed=True)
        if count < 0:
            raise ValueError(f"storage of {count} elements")
        storages[key] = np.frombuffer(content, dtypes[key], count, position + 8)
        position += 8 + storages[key].nbytes
    return storages


def _materialize(name: str, view: _View, storages: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    storage = storages[view.storage.key]
    elements = math.prod(view.sizes)
    # Do not trust the view in the file: one that exceeds its storage would read other memory of this process.
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.sizes, view.strides, strict=True))
    inside = elements == 0 or last < storage.size
    if min((view.offset, *view.sizes, *view.strides)) < 0 or elements > storage.size or not inside:
        raise ValueError(f"tensor {name!r} exceeds its storage")
    strides = tuple(stride * storage.itemsize for stride in view.strides)
    strided = np.lib.stride_tricks.as_strided(storage[view.offset :], view.sizes, strides, writeable=False)
    return np.array(strided, np.float32, order="C")
