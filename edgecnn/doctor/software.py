"""Checks of what is installed: Python, the kind of system, numpy, the interpreter, OpenCV."""

from __future__ import annotations

import importlib
import os
import platform
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from io import StringIO

from edgecnn.doctor.finding import Finding, output_of, pip_install

OPENCV_LIBRARIES = "libgl1 libglib2.0-0 libsm6 libxcb1 libxext6"
"""Debian's packages with what OpenCV's windows link to."""

_PROBE_TIMEOUT_S = 60
"""Libraries come off a slow card the first time."""
_DPKG_TIMEOUT_S = 5
_NUMPY = (1, 26)
_OLD_RUNTIME = "tflite-runtime"
"""Its extension was built for numpy 1 and is not loaded by numpy 2."""


def check_system() -> Finding:
    """Whether programs here are 64-bit: a 64-bit kernel may well have 32-bit programs on it."""
    architecture = (output_of(["dpkg", "--print-architecture"], timeout_s=_DPKG_TIMEOUT_S) or "").strip()
    return system_finding(platform.machine(), architecture, 64 if sys.maxsize > 2**32 else 32)


def system_finding(machine: str, architecture: str, bits: int) -> Finding:
    """`machine` is the kernel's, `architecture` dpkg's (or empty), `bits` those of this Python."""
    found = f"{bits}-bit {architecture or 'programs'}, kernel {machine}"
    if bits == 64 and architecture not in ("armhf", "armel"):
        return Finding("system", "ok", found)
    # Whether the old interpreter for such systems is there and runs is another check's matter.
    return Finding(
        "system",
        "warning",
        found,
        "write Raspberry Pi OS (64-bit) to the card: the maintained interpreter exists for 64-bit systems only",
    )


def check_python() -> Finding:
    """The Python that runs this."""
    found = platform.python_version()
    if sys.prefix == sys.base_prefix:
        return Finding(
            "python",
            "warning",
            f"{found}, shared with the system",
            "install edgecnn in an environment of its own, with install.sh: the system's numpy suits other programs",
        )
    return Finding("python", "ok", found)


def check_numpy() -> Finding:
    """Whether numpy is there, in a version that edgecnn and the interpreter take."""
    try:
        found = str(importlib.import_module("numpy").__version__)
    except Exception as error:  # noqa: BLE001 - a package on a failing card breaks in any way
        return Finding("numpy", "problem", _one_line(error), pip_install("numpy>=1.26"))
    return numpy_finding(found, _installed("ai-edge-litert"), _installed(_OLD_RUNTIME))


def numpy_finding(found: str, litert: str | None, old_runtime: str | None) -> Finding:
    """The versions of numpy and of the interpreter packages, None for one that is not installed."""
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) < _NUMPY:
        return Finding("numpy", "problem", f"{found}, 1.26 or newer is needed", pip_install("numpy>=1.26"))
    if litert is None and old_runtime and major >= 2:
        return Finding(
            "numpy", "problem", f"{found}, {_OLD_RUNTIME} {old_runtime} needs numpy 1", pip_install("numpy<2")
        )
    return Finding("numpy", "ok", found)


def check_interpreter() -> Finding:
    """Whether the interpreter runs a model on this processor."""
    # A process of its own, since native code that does not suit a machine takes its process along; it imports from
    # where this one does, and not from the working folder.
    command = [sys.executable, "-P", "-m", "edgecnn.doctor.probe"]
    try:
        probe = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(
            "interpreter",
            "problem",
            f"no answer in {_PROBE_TIMEOUT_S} s",
            "stop other programs (top shows them) and try again",
        )
    if probe.returncode == 0:
        return Finding("interpreter", "ok", f"{probe.stdout}, runs a model")
    return Finding("interpreter", "problem", _how_it_failed(probe), _interpreter_fix(probe.stdout))


def check_opencv() -> Finding:
    """Whether OpenCV loads, shows windows and reads cameras."""
    try:
        # It speaks of a missing numpy on stdout.
        with redirect_stdout(StringIO()):
            cv2 = importlib.import_module("cv2")
    except Exception as error:  # noqa: BLE001 - a package on a failing card breaks in any way
        missing = "cannot open shared object file" in str(error)
        return Finding(
            "opencv",
            "problem",
            _one_line(error),
            f"sudo apt install {OPENCV_LIBRARIES}" if missing else pip_install("opencv-python"),
        )
    windows = _build_option(cv2.getBuildInformation(), "GUI")
    backends = {cv2.videoio_registry.getBackendName(number) for number in cv2.videoio_registry.getCameraBackends()}
    found = f"{cv2.__version__}, windows: {windows}, USB cameras: {'V4L2' if 'V4L2' in backends else 'none'}"
    if "V4L2" not in backends:
        return Finding("opencv", "warning", f"{found}; --source 0 will not work", pip_install("opencv-python"))
    return Finding("opencv", "ok", found)


def _how_it_failed(probe: subprocess.CompletedProcess[str]) -> str:
    if probe.returncode < 0:
        return f"killed by {signal.Signals(-probe.returncode).name} while it ran a model"
    last_words = probe.stdout or (probe.stderr.strip().splitlines() or ["it gives no reason"])[-1]
    return _one_line(last_words)


def _interpreter_fix(said: str) -> str:
    if "no TFLite interpreter" in said:
        return pip_install("ai-edge-litert")
    return "install edgecnn again, with install.sh; if that does not help, try another version of ai-edge-litert"


def _build_option(information: str, name: str) -> str:
    """The value of a `name: value` line of OpenCV's build information, in lower case; `none` where it has none."""
    for line in information.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip().lower() or "none"
    return "none"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[:200] or type(said).__name__
