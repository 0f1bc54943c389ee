"""A test run of a model with one operator, to find out if the interpreter works on this processor.

`python -m edgecnn.doctor.probe` runs it in a separate process, because native code that does not suit a machine kills
its process without an exception.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flatbuffers import Builder

_VALUES = (-1.0, 0.0, 0.5, 2.0)
_RELU = 19
"""Number of the operator in TensorFlow Lite's schema."""


def relu_model(count: int) -> bytes:
    """Build a model that replaces negative values by 0.

    Field numbers are those of `schema.fbs` (TensorFlow Lite, version 3).

    Args:
        count: Number of float32 values; input and output are `[1, count]`.

    Returns:
        The content of a `.tflite` file.
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
    """Run the model.

    Returns:
        The interpreter package and its version.

    Raises:
        RuntimeError: The output is wrong. The interpreter may raise any other error.
    """
    import numpy as np  # noqa: PLC0415 - it may be the package that is missing

    from edgecnn.runtime.inference.interpreter import find_runtime, open_interpreter  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relu.tflite"
        path.write_bytes(relu_model(len(_VALUES)))
        interpreter = open_interpreter(path, threads=1)
        interpreter.set_tensor(0, np.array([_VALUES], np.float32))
        interpreter.invoke()
        output = interpreter.get_tensor(1)[0].tolist()
    runtime = find_runtime()
    if output != [max(0.0, value) for value in _VALUES]:
        raise RuntimeError(f"{runtime.package} {runtime.version} computes wrong results: {output}")
    return f"{runtime.package} {runtime.version}"


def _relu_code(builder: Builder) -> int:
    builder.StartObject(4)
    # Written twice: in the field that old interpreters read, and in the one that replaced it.
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
        message, failed = run_probe(), False
    except Exception as error:  # noqa: BLE001 - the parent process reports any error
        message, failed = " ".join(f"{error}".split()) or type(error).__name__, True
    sys.stdout.write(message)
    sys.exit(failed)
