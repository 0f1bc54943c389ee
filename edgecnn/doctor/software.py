"""Checks of the installed software: the kind of system, Python, numpy, the interpreter, OpenCV."""

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
"""Debian packages of the libraries that OpenCV's windows link to."""

_PROBE_TIMEOUT_S = 60
"""The first run reads the libraries from a slow card."""
_DPKG_TIMEOUT_S = 5
_NUMPY = (1, 26)
_OLD_RUNTIME = "tflite-runtime"
"""Its extension was built for numpy 1 and cannot be loaded with numpy 2."""


def check_system() -> Finding:
    """Check that the programs here are 64-bit; a 64-bit kernel can run a 32-bit system.

    Returns:
        The finding.
    """
    architecture = (output_of(["dpkg", "--print-architecture"], timeout_s=_DPKG_TIMEOUT_S) or "").strip()
    return system_finding(platform.machine(), architecture, 64 if sys.maxsize > 2**32 else 32)


def system_finding(machine: str, architecture: str, bits: int) -> Finding:
    """Judge the architecture of the system.

    Args:
        machine: Architecture of the kernel.
        architecture: Architecture of dpkg's packages; empty without dpkg.
        bits: Pointer size of this Python, 32 or 64.

    Returns:
        The finding.
    """
    found = f"{bits}-bit {architecture or 'programs'}, kernel {machine}"
    if bits == 64 and architecture not in ("armhf", "armel"):
        return Finding("system", "ok", found)
    # A warning only: another check finds out if the old interpreter for such systems is installed and runs.
    return Finding(
        "system",
        "warning",
        found,
        "write Raspberry Pi OS (64-bit) to the card: the maintained interpreter is available for 64-bit systems only",
    )


def check_python() -> Finding:
    """Check that edgecnn has its own Python environment.

    Returns:
        The finding.
    """
    found = platform.python_version()
    if sys.prefix == sys.base_prefix:
        return Finding(
            "python",
            "warning",
            f"{found}, shared with the system",
            "install edgecnn in its own environment with install.sh: other programs rely on the system's numpy",
        )
    return Finding("python", "ok", found)


def check_numpy() -> Finding:
    """Check that numpy is installed in a version that edgecnn and the interpreter support.

    Returns:
        The finding.
    """
    try:
        found = str(importlib.import_module("numpy").__version__)
    except Exception as error:  # noqa: BLE001 - a package on a failing card can raise anything
        return Finding("numpy", "problem", _one_line(error), pip_install("numpy>=1.26"))
    return numpy_finding(found, _installed("ai-edge-litert"), _installed(_OLD_RUNTIME))


def numpy_finding(found: str, litert: str | None, old_runtime: str | None) -> Finding:
    """Judge the version of numpy.

    Args:
        found: Version of numpy.
        litert: Version of ai-edge-litert; None if it is not installed.
        old_runtime: Version of tflite-runtime; None if it is not installed.

    Returns:
        The finding.
    """
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) < _NUMPY:
        return Finding("numpy", "problem", f"{found}, but 1.26 or newer is needed", pip_install("numpy>=1.26"))
    if litert is None and old_runtime and major >= 2:
        return Finding(
            "numpy", "problem", f"{found}, but {_OLD_RUNTIME} {old_runtime} needs numpy 1", pip_install("numpy<2")
        )
    return Finding("numpy", "ok", found)


def check_interpreter() -> Finding:
    """Check that the interpreter runs a model on this processor.

    Returns:
        The finding.
    """
    # A separate process, since native code that does not suit a machine kills its process. It imports from the same
    # folders as this one, and not from the working folder.
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
            "stop other programs (top lists them) and try again",
        )
    if probe.returncode == 0:
        return Finding("interpreter", "ok", f"{probe.stdout}, runs a model")
    return Finding("interpreter", "problem", _describe_failure(probe), _interpreter_fix(probe.stdout))


def check_opencv() -> Finding:
    """Check that OpenCV loads, shows windows and reads cameras.

    Returns:
        The finding.
    """
    try:
        # It reports a missing numpy on stdout.
        with redirect_stdout(StringIO()):
            cv2 = importlib.import_module("cv2")
    except Exception as error:  # noqa: BLE001 - a package on a failing card can raise anything
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


def _describe_failure(probe: subprocess.CompletedProcess[str]) -> str:
    if probe.returncode < 0:
        return f"killed by {signal.Signals(-probe.returncode).name} while running a model"
    reason = probe.stdout or (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
    return _one_line(reason)


def _interpreter_fix(reason: str) -> str:
    if "no TFLite interpreter" in reason:
        return pip_install("ai-edge-litert")
    return "reinstall edgecnn with install.sh; if that does not help, try another version of ai-edge-litert"


def _build_option(information: str, name: str) -> str:
    """Return the value of a `name: value` line of OpenCV's build information, in lower case; `none` if it has none."""
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


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:200] or type(message).__name__
