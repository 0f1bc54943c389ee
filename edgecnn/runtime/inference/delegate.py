"""External delegates: libraries that run a model, or parts of it, on an accelerator instead of the processor.

The runtime's own XNNPACK is not an external delegate. It is always active and runs whatever a delegate does not take.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.errors import InputError
from edgecnn.runtime.inference.interpreter import Delegate, Interpreter, find_runtime, one_line, open_interpreter
from edgecnn.runtime.inference.native_output import native_output_hidden

EDGE_TPU_LIBRARY = "libedgetpu.so.1"
"""Library of Coral's Edge TPU on USB or PCIe, the usual accelerator for a Raspberry Pi."""
KNOWN_LIBRARIES = (
    EDGE_TPU_LIBRARY,
    # VeriSilicon's NPU with the vendor's driver: NXP i.MX 8M Plus, Amlogic A311D.
    "libvx_delegate.so",
    # NPUs with Mesa's driver (VeriSilicon, Rockchip). This is the path of Debian's package mesa-teflon-delegate.
    "/usr/lib/teflon/libteflon.so",
    # Arm NN is not listed: without options, it uses its reference backend, which is far slower than XNNPACK.
)
"""Libraries that `auto` tries, in this order: delegates for single-board computers that need no options."""

_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


@dataclass(frozen=True, slots=True)
class DelegateRequest:
    """The value of `--delegate`."""

    library: str | None
    """Path, or name that the system's loader finds; None for the first of `KNOWN_LIBRARIES` that can run the model."""
    options: tuple[tuple[str, str], ...] = ()
    """Keys and values from the library's documentation."""


class OpenedModel(NamedTuple):
    """An interpreter, and the delegate that it uses."""

    interpreter: Interpreter
    delegate: str | None
    """File name of the library, safe to print; None without a delegate."""


def parse_delegate(text: str) -> DelegateRequest:
    """Parse the value of `--delegate`.

    Args:
        text: `auto` or `LIBRARY[:KEY=VALUE[,KEY=VALUE ...]]`, such as `libedgetpu.so.1:device=usb:0`. The first colon
            ends the library. A piece without "=" continues the value before it, as in
            `libarmnnDelegate.so:backends=GpuAcc,CpuAcc`.

    Returns:
        The request.

    Raises:
        InputError: The library or an option cannot be parsed.
    """
    library, colon, rest = text.partition(":")
    library = library.strip()
    if not library or not library.isprintable():
        raise InputError(f"expected --delegate as a library such as libedgetpu.so.1, or auto, got {text!r}")
    if library != "auto":
        return DelegateRequest(library, _parse_options(rest) if colon else ())
    if colon:
        raise InputError(f"--delegate auto takes no options, got {rest!r}; name the library that needs them")
    return DelegateRequest(None)


def load_delegate(library: str, options: tuple[tuple[str, str], ...] = ()) -> Delegate:
    """Load a library and create its delegate.

    A library that was built for another release of the runtime may crash the process instead of raising an error,
    because the two share C structs.

    Args:
        library: Path, or name that the system's loader finds.
        options: Keys and values for the library.

    Returns:
        The delegate, ready for `open_interpreter`.

    Raises:
        InputError: The library cannot be loaded, is not a delegate, or refuses, for example because its device is
            missing.
        MissingDependency: No TFLite interpreter is installed.
    """
    runtime = find_runtime()
    with native_output_hidden():
        _check_library(library)
        try:
            native = runtime.module.load_delegate(library, dict(options))
        except ValueError as error:
            # The runtime puts its own text before the library's reason, which may be empty.
            reason = one_line(str(error).removeprefix(f"Failed to load delegate from {library}\n"))
            raise InputError(
                f"the delegate {library} does not start: {reason or 'no reason given'}; check its device and its "
                "options, or leave --delegate out"
            ) from None
    return Delegate(Path(library).name, native)


def open_delegated(path: Path, *, threads: int, request: DelegateRequest | None) -> OpenedModel:
    """Open a model file, with a delegate if one is requested.

    Args:
        path: Model file.
        threads: Number of threads for the parts that the processor runs.
        request: The requested delegate; None for none. If the request leaves the choice open (`auto`), the processor
            runs the model when no delegate can.

    Returns:
        The interpreter and the name of the delegate.

    Raises:
        InputError: The requested delegate cannot be loaded.
        ModelFileError: The model cannot be run, or the requested delegate runs no part of it.
    """
    if request is None:
        return OpenedModel(open_interpreter(path, threads=threads), None)
    if request.library is None:
        return _open_with_any(path, threads)
    delegate = load_delegate(request.library, request.options)
    return OpenedModel(open_interpreter(path, threads=threads, delegate=delegate), delegate.name)


def _open_with_any(path: Path, threads: int) -> OpenedModel:
    for library in KNOWN_LIBRARIES:
        # It is normal that a library is missing or refuses, so its native output is hidden as well.
        with native_output_hidden(), suppress(InputError):
            return open_delegated(path, threads=threads, request=DelegateRequest(library))
    return open_delegated(path, threads=threads, request=None)


def _check_library(library: str) -> None:
    """Raise an `InputError` if a library is missing or is not a delegate.

    The runtime detects this too, but leaves a half-constructed object that writes to stderr when it is deleted.
    """
    try:
        loaded = ctypes.PyDLL(library)
    except OSError as error:
        reason = one_line(error).removeprefix(f"{library}: ")
        raise InputError(
            f"cannot load the delegate {library}: {reason}; install it, give its path, or leave --delegate out"
        ) from None
    for symbol in _SYMBOLS:
        if not hasattr(loaded, symbol):
            raise InputError(
                f"{library} is not a TFLite delegate, it has no {symbol}; use another library or leave --delegate out"
            )


def _parse_options(text: str) -> tuple[tuple[str, str], ...]:
    options: dict[str, str] = {}
    key = ""
    for piece in text.split(","):
        name, equals, value = piece.partition("=")
        if equals and name.strip() and name.strip() not in options:
            key = name.strip()
            options[key] = value
        elif key and piece and not equals:
            options[key] += f",{piece}"
        else:
            raise InputError(f"expected options of a delegate as key=value,key=value, each key once, got {text!r}")
    return tuple(options.items())
