"""The TFLite interpreter: finding the installed package and opening model files with it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import MissingDependency, ModelFileError
from edgecnn.runtime.inference.native_output import native_output_hidden

# The maintained runtime comes first. tflite-runtime is for 32-bit systems and Termux, where the other has no wheels.
_RUNTIMES = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))

Interpreter = Any
"""`Interpreter` of `ai_edge_litert.interpreter` or `tflite_runtime.interpreter`; neither package is typed."""


class Runtime(NamedTuple):
    """The interpreter package in use."""

    module: Any
    package: str

    @property
    def version(self) -> str:
        """Version of the package, or "unknown"."""
        # Imported here because it costs 4 MB and 30 ms, and a run without errors does not need it.
        from edgecnn.core.versions import versions_of  # noqa: PLC0415

        return versions_of([self.package]).get(self.package, "unknown")


DELEGATED = "DELEGATE"
"""Name of the operator that replaces the operators that a delegate runs; the same for every delegate."""


class Delegate(NamedTuple):
    """A loaded external delegate; see `edgecnn.runtime.inference.delegate`."""

    name: str
    native: Any
    """Object of the runtime. Every interpreter that uses it keeps it alive."""


def find_runtime() -> Runtime:
    """Import the first interpreter package that is installed.

    Returns:
        The package, in the order ai-edge-litert, tflite-runtime.

    Raises:
        MissingDependency: None is installed.
    """
    for module, package in _RUNTIMES:
        try:
            return Runtime(importlib.import_module(module), package)
        except ModuleNotFoundError as error:
            if error.name not in (module, module.partition(".")[0]):
                raise
    raise MissingDependency(
        "no TFLite interpreter is installed: pip install ai-edge-litert (or tflite-runtime on 32-bit systems)"
    )


def open_interpreter(path: Path, *, threads: int, delegate: Delegate | None = None) -> Interpreter:
    """Open a model file and allocate its tensors.

    Args:
        path: Model file.
        threads: Number of threads for the operators that the processor runs.
        delegate: Delegate that runs the operators it supports; the processor runs the others.

    Returns:
        An interpreter that is ready to run.

    Raises:
        ModelFileError: The interpreter cannot run the file, or the delegate runs no part of it.
        MissingDependency: No TFLite interpreter is installed.
    """
    with _failures_of(path, delegate):
        interpreter = _new_interpreter(path, threads, delegate)
        # Check before allocating: XNNPACK takes its operators during the allocation, and that looks the same.
        if delegate is None or _has_delegated(interpreter):
            interpreter.allocate_tensors()
            return interpreter
    raise ModelFileError(
        f"{delegate.name} can run no part of {path}; use a model compiled for it (a Coral Edge TPU needs one from "
        "edgetpu_compiler) or leave --delegate out"
    )


def peek_interpreter(path: Path) -> Interpreter:
    """Open a model file only to read its inputs and outputs.

    This also works for a file that needs a delegate.

    Args:
        path: Model file.

    Returns:
        An interpreter without allocated tensors, which cannot run.

    Raises:
        ModelFileError: The interpreter cannot read the file.
        MissingDependency: No TFLite interpreter is installed.
    """
    with _failures_of(path, None):
        return _new_interpreter(path, 1, None)


def operator_names(interpreter: Interpreter) -> list[str] | None:
    """List the operators of an open model.

    Args:
        interpreter: An open interpreter.

    Returns:
        Names of the operators in order, with one `DELEGATED` for each part that a delegate runs. None if the
        interpreter package does not report them.
    """
    # Neither package has a public method for this; both have had this one since 2.5.
    list_operators = getattr(interpreter, "_get_ops_details", None)
    return None if list_operators is None else [operator["op_name"] for operator in list_operators()]


def one_line(message: object) -> str:
    """Shorten a message from native code to one line.

    Args:
        message: Any object; its text is used.

    Returns:
        The text without line breaks, at most 200 characters long.
    """
    return " ".join(str(message).split())[:200]


@contextmanager
def _failures_of(path: Path, delegate: Delegate | None) -> Iterator[None]:
    """Turn errors of native code into a `ModelFileError` of one line.

    Native output is hidden in the block, because every interpreter also announces its own delegate on stderr.
    """
    try:
        with native_output_hidden():
            yield
    except (ValueError, RuntimeError) as error:
        runtime = find_runtime()
        runner = f"{runtime.package} {runtime.version}" + (f" with {delegate.name}" if delegate else "")
        advice = "; use another model or leave --delegate out" if delegate else ""
        raise ModelFileError(f"{runner} cannot run {path}: {one_line(error)}{advice}") from None


def _new_interpreter(path: Path, threads: int, delegate: Delegate | None) -> Interpreter:
    delegates = [delegate.native] if delegate else None
    return find_runtime().module.Interpreter(
        model_path=str(path), num_threads=threads, experimental_delegates=delegates
    )


def _has_delegated(interpreter: Interpreter) -> bool:
    names = operator_names(interpreter)
    return names is None or DELEGATED in names
