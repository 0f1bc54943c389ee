from __future__ import annotations

import importlib.util
import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from edgecnn.core.errors import ModelFileError
from edgecnn.training.networks.torch_checkpoint import read_torch_checkpoint

HEADER = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})


class Storage(NamedTuple):
    key: str
    type_name: str
    elements: np.ndarray


class Tensor:
    """A tensor as PyTorch pickles it: a call of `_rebuild_tensor_v2` on a storage."""

    def __init__(self, storage: Storage, sizes: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> None:
        self.storage = storage
        self.arguments: tuple[Any, ...] = (offset, sizes, strides, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (self.storage, *self.arguments)


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Storage):
            return None
        kind = getattr(sys.modules["torch"], value.type_name)
        return ("storage", kind, value.key, "cpu", len(value.elements), None)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a checkpoint as PyTorch does.

    PyTorch's names only need to exist while they are pickled.
    """
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "HalfStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(content: Any, *storages: Storage, header: tuple[Any, ...] = HEADER) -> Path:
        stream = io.BytesIO()
        for part in (*header, content, [storage.key for storage in storages]):
            TorchPickler(stream, protocol=2).dump(part)
        for storage in storages:
            stream.write(len(storage.elements).to_bytes(8, "little") + storage.elements.tobytes())
        path = tmp_path / "weights.pth"
        path.write_bytes(stream.getvalue())
        return path

    return write


FLOATS = Storage("1", "FloatStorage", np.arange(24, dtype=np.float32))


def rejection(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_torch_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_contiguous_tensor_is_read_in_its_shape(write: Write) -> None:
    tensors = read_torch_checkpoint(write(OrderedDict(weight=Tensor(FLOATS, (2, 3, 4), (12, 4, 1))), FLOATS))
    assert list(tensors) == ["weight"]
    assert tensors["weight"].dtype == np.float32
    np.testing.assert_array_equal(tensors["weight"], np.arange(24).reshape(2, 3, 4))


def test_strides_and_offset_are_respected(write: Write) -> None:
    tensors = read_torch_checkpoint(write({"weight": Tensor(FLOATS, (3, 4), (1, 3), offset=5)}, FLOATS))
    expected = [[5 + row + 3 * column for column in range(4)] for row in range(3)]
    np.testing.assert_array_equal(tensors["weight"], expected)
    assert tensors["weight"].flags.c_contiguous


def test_two_tensors_may_share_a_storage_and_a_file_may_have_several_storages(write: Write) -> None:
    halves = Storage("0", "HalfStorage", np.array([0.5, -2], np.float16))
    steps = Storage("7", "LongStorage", np.array([12345], np.int64))
    content = {
        "a": Tensor(FLOATS, (2,), (1,)),
        "b": Tensor(FLOATS, (2,), (1,), offset=22),
        "half": Tensor(halves, (2,), (1,)),
        "steps": Tensor(steps, (), ()),
        "none": Tensor(FLOATS, (0, 4), (4, 1)),
    }
    tensors = read_torch_checkpoint(write(content, halves, FLOATS, steps))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "a": [0, 1],
        "b": [22, 23],
        "half": [0.5, -2],
        "steps": 12345,
        "none": [],
    }


class Attack:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("target", ["magic", "dictionary", "tensor"])
def test_a_pickle_that_would_run_a_command_is_rejected_and_not_run(write: Write, tmp_path: Path, target: str) -> None:
    marker = tmp_path / "ran"
    attack = Attack(os.system, f"touch {marker}")
    header = (attack, *HEADER[1:]) if target == "magic" else HEADER
    content = {"weight": attack} if target == "tensor" else attack
    assert f"{os.system.__module__}.system" in rejection(write(content, header=header))
    assert not marker.exists()


@pytest.mark.parametrize("function", [eval, getattr, importlib.import_module, np.load])
def test_any_other_global_is_rejected_by_name(write: Write, function: Callable[..., Any]) -> None:
    assert f".{function.__name__}, which" in rejection(write({"weight": Attack(function, "x")}))


@pytest.mark.parametrize(
    ("sizes", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((2,), (24,), 0),
        ((4,), (1,), 21),
        ((4,), (-1,), 20),
        ((2,), (1,), -1),
        ((-1,), (1,), 0),
        ((10**9, 10**9), (0, 0), 0),
        ((2, 2), (1,), 0),
    ],
)
def test_a_tensor_that_exceeds_its_storage_is_rejected(
    write: Write, sizes: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    assert "truncated or corrupted" in rejection(write({"weight": Tensor(FLOATS, sizes, strides, offset)}, FLOATS))


def test_a_truncated_file_is_rejected(write: Write) -> None:
    path = write({"weight": Tensor(FLOATS, (24,), (1,))}, FLOATS)
    complete = path.read_bytes()
    assert read_torch_checkpoint(path)["weight"].shape == (24,)
    for length in range(len(complete)):
        path.write_bytes(complete[:length])
        rejection(path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {}}, {4: None}])
def test_a_checkpoint_of_something_else_is_rejected(write: Write, content: Any) -> None:
    assert "expected a dictionary of tensors by name" in rejection(write(content))


def test_another_version_of_the_format_is_rejected(write: Write) -> None:
    assert "expected version 1001" in rejection(write({}, header=(HEADER[0], 1002, HEADER[2])))


@pytest.mark.parametrize("content", [b"", b"once upon a time", b"\xff\xd8\xff\xe0 a photo", pickle.dumps({"a": 1})])
def test_a_file_that_is_not_a_checkpoint_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "not a PyTorch checkpoint" in rejection(path)


def test_the_zip_format_is_rejected_with_the_way_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04 and so on")
    assert "_use_new_zipfile_serialization=False" in rejection(path)


def test_a_missing_file_and_a_folder_are_rejected(tmp_path: Path) -> None:
    assert "no such checkpoint file" in rejection(tmp_path / "nothing.pth")
    assert "cannot read" in rejection(tmp_path)
