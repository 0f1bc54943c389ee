"""A `rpicam-vid` for machines without a Raspberry Pi's camera."""

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
sys.stderr.write({last_words!r})
sys.stderr.flush()
time.sleep({idle_s})
"""


def install_rpicam(
    folder: Path, *, name: str = "rpicam-vid", pictures: int = 1_000_000, last_words: str = "", idle_s: float = 0
) -> None:
    """Writes the program into `folder`: it gives so many pictures, says its last words, waits and ends."""
    folder.mkdir(exist_ok=True)
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(numbered_jpeg(number))
    program = folder / name
    program.write_text(_PROGRAM.format(python=sys.executable, pictures=pictures, last_words=last_words, idle_s=idle_s))
    program.chmod(0o755)


def runs_of_rpicam(folder: Path) -> list[list[str]]:
    """The arguments of every run so far."""
    return [line.split() for line in (folder / "runs.txt").read_text().splitlines()]
