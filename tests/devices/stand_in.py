"""Small wheels named edgecnn that install in a second; install.sh treats them like the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

DEPENDENCY = "edgecnn-stand-in-dependency"

_COMMAND = """
def main():
    print("edgecnn {version}")
"""
_CHECKED_IMPORT = {"cv2.py": "", "edgecnn/runtime/inference/interpreter.py": "def find_runtime(): pass\n"}
"""Modules that install.sh imports to check that a version works."""


def write_edgecnn(folder: Path, version: str, *, starts: bool = True) -> Path:
    """Write a wheel of this version, which requires `DEPENDENCY`; one that does not start lacks a library."""
    files = {"edgecnn/__init__.py": "", "edgecnn/cli.py": _COMMAND.format(version=version), **_CHECKED_IMPORT}
    if not starts:
        files["cv2.py"] = "raise ImportError('libGL.so.1: cannot open shared object file')\n"
    return _write_wheel(
        folder,
        "edgecnn",
        version,
        files,
        metadata=f"Requires-Dist: {DEPENDENCY}\n",
        entry_points="[console_scripts]\nedgecnn = edgecnn.cli:main\n",
    )


def write_dependency(folder: Path) -> Path:
    """Write the wheel that the others require."""
    name = DEPENDENCY.replace("-", "_")
    return _write_wheel(folder, name, "1.0", {f"{name}.py": ""})


def _write_wheel(
    folder: Path, name: str, version: str, files: dict[str, str], *, metadata: str = "", entry_points: str = ""
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel
