"""External delegates: libraries that run a model, or parts of it, on an accelerator in place of the processor.

The runtime's own XNNPACK is none of them: it is there without asking, and serves whatever a delegate leaves.
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
"""Of Coral's Edge TPU on USB or PCIe, the accelerator that is added to a Raspberry Pi."""
KNOWN_LIBRARIES = (
    EDGE_TPU_LIBRARY,
    # VeriSilicon's NPU with the vendor's driver: NXP i.MX 8M Plus, Amlogic A311D.
    "libvx_delegate.so",
    # NPUs with Mesa's driver (VeriSilicon, Rockchip); where Debian's mesa-teflon-delegate puts it.
    "/usr/lib/teflon/libteflon.so",
    # Not Arm NN: without options it computes on its reference backend, far slower than XNNPACK.
)
"""What `auto` tries, in this order: delegates of single-board computers that are of use without options."""

_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


@dataclass(frozen=True, slots=True)
class DelegateRequest:
    """What `--delegate` asks for."""

    library: str | None
    """A path, or a name that the system's loader finds; None for the first of `KNOWN_LIBRARIES` that is of use."""
    options: tuple[tuple[str, str], ...] = ()
    """Keys and values as the library's documentation has them."""


class OpenedModel(NamedTuple):
    """An interpreter, and what runs the model beside the runtime's own kernels."""

    interpreter: Interpreter
    delegate: str | None
    """The library's file name, fit to be printed; None where there is none."""


def parse_delegate(text: str) -> DelegateRequest:
    """Reads `auto` or `LIBRARY[:KEY=VALUE[,KEY=VALUE ...]]`, such as `libedgetpu.so.1:device=usb:0`.

    The first colon ends the library. A piece without "=" goes on with the value before it, as in
    `libarmnnDelegate.so:backends=GpuAcc,CpuAcc`. Raises `InputError`.
    """
    library, colon, rest = text.partition(":")
    library = library.strip()
    if not library or not library.isprintable():
        raise InputError(f"expected --delegate as a library such as libedgetpu.so.1, or auto, got {text!r}")
    if library != "auto":
        return DelegateRequest(library, _parse_options(rest) if colon else ())
    if colon:
        raise InputError(f"--delegate auto takes no options, got {rest!r}: name the library that they are for")
    return DelegateRequest(None)


def load_delegate(library: str, options: tuple[tuple[str, str], ...] = ()) -> Delegate:
    """Loads a library and has it make a delegate, which it refuses where its device is missing. Raises `InputError`.

    A library built for another release of the runtime can do worse than refuse: the two share C structs.
    """
    runtime = find_runtime()
    with native_output_hidden():
        _check_library(library)
        try:
            native = runtime.module.load_delegate(library, dict(options))
        except ValueError as error:
            # The runtime's own words come before the library's, which may be none.
            reason = one_line(str(error).removeprefix(f"Failed to load delegate from {library}\n"))
            raise InputError(
                f"the delegate {library} does not start: {reason or 'it gives no reason'}; check its device and its "
                "options, or leave --delegate out"
            ) from None
    return Delegate(Path(library).name, native)


def open_delegated(path: Path, *, threads: int, request: DelegateRequest | None) -> OpenedModel:
    """Opens a model file as `wish` says, or without a delegate for None.

    Raises `InputError` for a delegate that cannot be loaded and `ModelFileError` for one that takes no part of the
    model, except where the wish leaves the choice open: then the processor runs it.
    """
    if request is None:
        return OpenedModel(open_interpreter(path, threads=threads), None)
    if request.library is None:
        return _open_with_any(path, threads)
    delegate = load_delegate(request.library, request.options)
    return OpenedModel(open_interpreter(path, threads=threads, delegate=delegate), delegate.name)


def _open_with_any(path: Path, threads: int) -> OpenedModel:
    for library in KNOWN_LIBRARIES:
        # That one is missing or refuses is no news here, so neither is what it says of it.
        with native_output_hidden(), suppress(InputError):
            return open_delegated(path, threads=threads, request=DelegateRequest(library))
    return open_delegated(path, threads=threads, request=None)


def _check_library(library: str) -> None:
    """The runtime finds out too, but leaves a half-made object behind that complains on stderr when it is deleted."""
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
                f"{library} is no TFLite delegate, it has no {symbol}: give another library or leave --delegate out"
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
