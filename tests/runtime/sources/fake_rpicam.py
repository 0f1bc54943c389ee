"""A fake `rpicam-vid` for machines without a Raspberry Pi camera."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runtime.sources.loopback_camera import numbered_jpeg

_PROGRAM = """#!{python} -IS
import pathlib, sys, time
here = pathlib.Path(__file__).parent
with open(here / "runs.txt", "a") as runs:
    runs.write(" ".join(sys.argv[1:]) + chr(10))
jpegs = [path.read_bytes() for path in sorted(here.glob("*.jpg"))]
for number in range({pictures}):
    print(f"#{{number}} (30.00 fps) exp 1.00", file=sys.stderr, flush=True)
    sys.stdout.buffer.write(jpegs[number % len(jpegs)])
    sys.stdout.flush()
    time.sleep(0.01)
sys.stderr.write({exit_message!r})
sys.stderr.flush()
time.sleep({idle_s})
"""


def install_rpicam(
    folder: Path, *, name: str = "rpicam-vid", pictures: int = 1_000_000, exit_message: str = "", idle_s: float = 0
) -> None:
    """Write the program to `folder`: it sends N pictures, logs `exit_message`, waits `idle_s` and exits."""
    folder.mkdir(exist_ok=True)
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(numbered_jpeg(number))
    program = folder / name
    program.write_text(
        _PROGRAM.format(python=sys.executable, pictures=pictures, exit_message=exit_message, idle_s=idle_s)
    )
    program.chmod(0o755)


def runs_of_rpicam(folder: Path) -> list[list[str]]:
    """Return the arguments of every run so far."""
    return [line.split() for line in (folder / "runs.txt").read_text().splitlines()]
