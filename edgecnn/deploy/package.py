"""Which edgecnn a device is to have: a wheel that goes there, or a version that it fetches."""

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
    """A wheel, or a version of the package index."""

    wheel: Path | None = None
    version: str | None = None


@contextmanager
def package_to_install(wheel: Path | None, wanted: str | None) -> Iterator[Package]:
    """What was asked for; else a wheel of this very edgecnn if it runs from a checkout, or its version if it does not.

    A wheel that had to be built is there until the block ends. Raises `EdgecnnError` if it cannot be.
    """
    if wheel and wanted:
        raise InputError("expected --wheel or --version, got both")
    if wheel:
        if not (wheel.is_file() and wheel.name.startswith("edgecnn-") and wheel.suffix == ".whl"):
            raise InputError(f"expected a wheel such as edgecnn-0.1.0-py3-none-any.whl, got {wheel}")
        yield Package(wheel=wheel)
    elif wanted or not (_CHECKOUT / "pyproject.toml").is_file():
        yield Package(version=wanted or version("edgecnn"))
    else:
        with TemporaryDirectory(prefix="edgecnn-") as folder:
            yield Package(wheel=_build(Path(folder)))


def _build(folder: Path) -> Path:
    if find_spec("hatchling") is None:
        raise MissingDependency(
            "expected hatchling, to build a wheel of this checkout: pip install hatchling, or give --wheel or --version"
        )
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if built.returncode or len(wheels) != 1:
        reason = (built.stderr.strip() or "it did not say why").splitlines()[-1]
        raise EdgecnnError(f"could not build a wheel of {_CHECKOUT}: {reason}; mend that, or give --wheel or --version")
    return wheels[0]
