"""Which TFLite interpreter there is, and opening one."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import MissingDependency, ModelFileError
from edgecnn.runtime.quiet import native_output_hidden

# The maintained runtime first; tflite-runtime serves 32-bit systems and Termux, where the other has no wheels.
_RUNTIMES = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))

Interpreter = Any
"""`ai_edge_litert.interpreter.Interpreter` or its like; neither package is typed."""


class Runtime(NamedTuple):
    """The interpreter package in use."""

    module: Any
    package: str
    version: str


def find_runtime() -> Runtime:
    """The first interpreter package that is installed. Raises `MissingDependency`."""
    for module, package in _RUNTIMES:
        try:
            return Runtime(importlib.import_module(module), package, _version(package))
        except ModuleNotFoundError as error:
            if error.name not in (module, module.partition(".")[0]):
                raise
    raise MissingDependency(
        "no TFLite interpreter is installed: pip install ai-edge-litert (or tflite-runtime on 32-bit systems)"
    )


def open_interpreter(path: Path, *, threads: int) -> Interpreter:
    """An interpreter over `path` with its tensors allocated. Raises `ModelFileError` for a file it cannot run."""
    runtime = find_runtime()
    try:
        # Every interpreter announces its delegate on stderr, which belongs to the program.
        with native_output_hidden():
            interpreter = runtime.module.Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{runtime.package} {runtime.version} cannot run {path}: {reason[:200]}") from None
    return interpreter


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
