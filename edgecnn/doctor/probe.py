"""A model of one operator, run to see whether the interpreter works on this processor.

`python -m edgecnn.doctor.probe` does it in a process of its own: native code that does not suit a machine ends its
process without an exception.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flatbuffers import Builder

_VALUES = (-1.0, 0.0, 0.5, 2.0)
_RELU = 19


def relu_model(count: int) -> bytes:
    """A `.tflite` that replaces what is negative among `count` float32 values by 0.

    Field numbers are those of `schema.fbs` (TensorFlow Lite, version 3).
    """
    builder = Builder(512)
    tensors = [_table(builder, {0: _ints(builder, [1, count])}) for _ in range(2)]
    operator = _table(builder, {1: _ints(builder, [0]), 2: _ints(builder, [1])})
    graph = _table(
        builder,
        {
            0: _tables(builder, tensors),
            1: _ints(builder, [0]),
            2: _ints(builder, [1]),
            3: _tables(builder, [operator]),
        },
    )
    model = _table(
        builder,
        {
            1: _tables(builder, [_relu_code(builder)]),
            2: _tables(builder, [graph]),
            4: _tables(builder, [_table(builder, {})]),
        },
        version=3,
    )
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def run_probe() -> str:
    """Runs the model and returns the interpreter package with its version. Raises what the interpreter does."""
    import numpy as np  # noqa: PLC0415 - it may be what is missing

    from edgecnn.runtime.inference.interpreter import find_runtime, open_interpreter  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relu.tflite"
        path.write_bytes(relu_model(len(_VALUES)))
        interpreter = open_interpreter(path, threads=1)
        interpreter.set_tensor(0, np.array([_VALUES], np.float32))
        interpreter.invoke()
        answer = interpreter.get_tensor(1)[0].tolist()
    runtime = find_runtime()
    if answer != [max(0.0, value) for value in _VALUES]:
        raise RuntimeError(f"{runtime.package} {runtime.version} computes wrongly: {answer}")
    return f"{runtime.package} {runtime.version}"


def _relu_code(builder: Builder) -> int:
    builder.StartObject(4)
    # Once in the field that old interpreters read, once in the one that replaced it.
    builder.PrependInt8Slot(0, _RELU, 0)
    builder.PrependInt32Slot(3, _RELU, 0)
    return int(builder.EndObject())


def _table(builder: Builder, offsets: Mapping[int, int], *, version: int = 0) -> int:
    builder.StartObject(8)
    builder.PrependUint32Slot(0, version, 0)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    return int(builder.EndObject())


def _tables(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _ints(builder: Builder, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())


if __name__ == "__main__":
    try:
        told, failed = run_probe(), False
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent tells it
        told, failed = " ".join(f"{error}".split()) or type(error).__name__, True
    sys.stdout.write(told)
    sys.exit(failed)
