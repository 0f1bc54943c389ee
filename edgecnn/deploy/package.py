"""The edgecnn to install on a device: a wheel that is sent, or a version that the device downloads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from edgecnn.core.errors import EdgecnnError, InputError, MissingDependency

_CHECKOUT = Path(__file__).parent.parent.parent


class Package(NamedTuple):
    """A wheel or a version; one of them is None."""

    wheel: Path | None = None
    version: str | None = None
    """A version of the package index."""


@contextmanager
def package_to_install(wheel: Path | None, requested: str | None) -> Iterator[Package]:
    """Choose the package, and build its wheel if necessary; a built wheel is deleted when the block ends.

    Args:
        wheel: Wheel that the user chose.
        requested: Version that the user chose. Without a choice, this edgecnn is installed: as a wheel that is built if
            it runs from a checkout, otherwise by its version.

    Yields:
        The package.

    Raises:
        EdgecnnError: The wheel cannot be built.
        InputError: Both a wheel and a version are given, or the file is not a wheel of edgecnn.
        MissingDependency: The build tool is not installed.
    """
    if wheel and requested:
        raise InputError("expected --wheel or --version, got both")
    if wheel:
        if not (wheel.is_file() and wheel.name.startswith("edgecnn-") and wheel.suffix == ".whl"):
            raise InputError(f"expected a wheel such as edgecnn-0.1.0-py3-none-any.whl, got {wheel}")
        yield Package(wheel=wheel)
    elif requested or not (_CHECKOUT / "pyproject.toml").is_file():
        yield Package(version=requested or version("edgecnn"))
    else:
        with TemporaryDirectory(prefix="edgecnn-") as folder:
            yield Package(wheel=_build(Path(folder)))


def _build(folder: Path) -> Path:
    if find_spec("hatchling") is None:
        raise MissingDependency(
            "hatchling is needed to build a wheel of this checkout: pip install hatchling, or give --wheel or --version"
        )
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if built.returncode or len(wheels) != 1:
        reason = (built.stderr.strip() or "no reason given").splitlines()[-1]
        raise EdgecnnError(f"could not build a wheel of {_CHECKOUT}: {reason}; fix that, or give --wheel or --version")
    return wheels[0]
