"""Which TFLite interpreter there is, and opening one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import MissingDependency, ModelFileError
from edgecnn.runtime.inference.native_output import native_output_hidden

# The maintained runtime first; tflite-runtime serves 32-bit systems and Termux, where the other has no wheels.
_RUNTIMES = (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime"))

Interpreter = Any
"""`ai_edge_litert.interpreter.Interpreter` or its like; neither package is typed."""


class Runtime(NamedTuple):
    """The interpreter package in use."""

    module: Any
    package: str

    @property
    def version(self) -> str:
        """The package's, where it is known."""
        # To look it up takes 4 MB and 30 ms, and a run that goes well does not ask.
        from edgecnn.core.versions import versions_of  # noqa: PLC0415

        return versions_of([self.package]).get(self.package, "unknown")


DELEGATED = "DELEGATE"
"""The name of an operator that stands for those that a delegate has taken over, whichever delegate it is."""


class Delegate(NamedTuple):
    """A loaded external delegate, see `edgecnn.runtime.inference.delegate`."""

    name: str
    native: Any
    """The runtime's own object, which every interpreter that uses it keeps alive."""


def find_runtime() -> Runtime:
    """The first interpreter package that is installed. Raises `MissingDependency`."""
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
    """An interpreter over `path` with its tensors allocated; what the delegate leaves runs on the processor.

    Raises `ModelFileError` for a file that it cannot run, and for one that the delegate takes no part of.
    """
    with _failures_of(path, delegate):
        interpreter = _new_interpreter(path, threads, delegate)
        # Before allocating: that is when XNNPACK takes its part, which looks no different.
        if delegate is None or _has_delegated(interpreter):
            interpreter.allocate_tensors()
            return interpreter
    raise ModelFileError(
        f"{delegate.name} takes no part of {path}: give a model made for it (a Coral Edge TPU wants one that "
        "edgetpu_compiler wrote) or leave --delegate out"
    )


def peek_interpreter(path: Path) -> Interpreter:
    """An interpreter that tells of the inputs and outputs of `path` and cannot run.

    Also of a file that needs a delegate. Raises `ModelFileError` for one that it cannot read.
    """
    with _failures_of(path, None):
        return _new_interpreter(path, 1, None)


def operator_names(interpreter: Interpreter) -> list[str] | None:
    """Every operator of the model by name, and `DELEGATED` once for every part that a delegate has taken over.

    None where the interpreter package does not tell.
    """
    # Neither package has a public call for it; both have had this one since 2.5.
    list_operators = getattr(interpreter, "_get_ops_details", None)
    return None if list_operators is None else [each["op_name"] for each in list_operators()]


def one_line(said: object) -> str:
    """What native code said of a failure, on one line of bearable length."""
    return " ".join(str(said).split())[:200]


@contextmanager
def _failures_of(path: Path, delegate: Delegate | None) -> Iterator[None]:
    """Says in one line what native code has against a file; every interpreter also announces its own delegate on
    stderr, which belongs to the program."""
    try:
        with native_output_hidden():
            yield
    except (ValueError, RuntimeError) as error:
        runtime = find_runtime()
        runner = f"{runtime.package} {runtime.version}" + (f" with {delegate.name}" if delegate else "")
        advice = "; give another model or leave --delegate out" if delegate else ""
        raise ModelFileError(f"{runner} cannot run {path}: {one_line(error)}{advice}") from None


def _new_interpreter(path: Path, threads: int, delegate: Delegate | None) -> Interpreter:
    delegates = [delegate.native] if delegate else None
    return find_runtime().module.Interpreter(
        model_path=str(path), num_threads=threads, experimental_delegates=delegates
    )


def _has_delegated(interpreter: Interpreter) -> bool:
    names = operator_names(interpreter)
    return names is None or DELEGATED in names
