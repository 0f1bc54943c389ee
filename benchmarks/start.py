"""Time from the start of the process to the first label on stdout, and the memory used.

    make .venv-base/.ready                                  # the wheel and its base dependencies
    python benchmarks/start.py --model clothes-int8.tflite

Three programs are interleaved, A B C A B C, each time in a new process of the base environment: `edgecnn run` on the
test pattern up to its first result, `edgecnn classify` of one JPEG, and OpenCV and LiteRT combined as in tutorials, on
the same JPEG. The files are in the system's cache, since each program is started a few times before the measurement.
The memory is the peak resident memory (RSS) of the process. The result, with the machine and every raw sample, goes to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

# The kernel's peak memory of a process includes the time before exec, when it was a copy of this one. So this process
# must stay small: it does not import OpenCV or numpy until everything is measured.

HERE = Path(__file__).parent
ROUNDS, WARM_UP = 20, 2
MAX_SECONDS, MAX_BYTES = 0.6, 120_000_000
"""Limits for the median time and the median memory of edgecnn's two commands."""
WITH_GOALS = ("run", "classify")

WRITE_JPEG = """
import cv2, numpy, sys
cv2.imwrite(sys.argv[1], numpy.full((480, 640, 3), (9, 99, 199), numpy.uint8))
"""
DESCRIBE = """
import json
from edgecnn.bench.environment import describe_environment
print(json.dumps(describe_environment().to_json()))
"""


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        record = measure(arguments.python.absolute(), arguments.model.absolute(), arguments.rounds, Path(folder))
    from edgecnn.core.atomic import write_json

    write_json(arguments.out, record)
    for name, program in record["programs"].items():
        print(
            f"{name}: first line after p50 {program['seconds_p50']:.3f} s, max {program['seconds_max']:.3f} s; "
            f"memory p50 {program['peak_rss_bytes_p50'] / 1e6:.1f} MB, "
            f"max {program['peak_rss_bytes_max'] / 1e6:.1f} MB"
        )
    for goal in record["goals"]:
        print(f"{goal['what']}: {goal['value']:g} (at most {goal['target']:g}; {'met' if goal['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the time from the start of the process to the first label.")
    parser.add_argument("--model", type=Path, required=True, help="int8 .tflite exported by edgecnn")
    parser.add_argument(
        "--python",
        type=Path,
        default=HERE.parent / ".venv-base" / "bin" / "python",
        help="Python of the environment to measure; the edgecnn command must be beside it",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of starts of each program")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "start.json")
    arguments = parser.parse_args()
    if not arguments.python.with_name("edgecnn").exists():
        parser.error(f"no edgecnn beside {arguments.python}: make .venv-base/.ready, or give --python")
    return arguments


class Start(NamedTuple):
    """One process."""

    seconds: float
    """Time from just before its start to its first line on stdout."""
    peak_rss_bytes: int
    line: str
    """The first line on stdout."""


def measure(python: Path, model: Path, rounds: int, folder: Path) -> dict[str, Any]:
    """Start all programs, interleaved."""
    picture = folder / "picture.jpg"
    output_of(python, "-c", WRITE_JPEG, picture)
    edgecnn = python.with_name("edgecnn")
    programs: dict[str, list[str | Path]] = {
        "run": [edgecnn, "run", model, "--source", "pattern:640x480@30", "--max-frames", "1", "--json"],
        # By its name alone, so that the first line, which is kept, contains no path of this machine.
        "classify": [edgecnn, "classify", model, picture.name, "--json"],
        "tutorial": [python, HERE / "peers" / "tutorial_once.py", model, picture.name],
    }
    for command in programs.values():
        for _ in range(WARM_UP):
            run_once(command, folder)
    samples: dict[str, list[Start]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, command in programs.items():
            samples[name].append(run_once(command, folder))
    return report_of(python, model, rounds, samples)


def run_once(command: list[str | Path], folder: Path) -> Start:
    """Start a program in `folder` and wait for its end; exit if it fails."""
    with open(folder / "stderr", "w+") as errors:
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment(), text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = (time.monotonic_ns() - began_ns) / 1e9
        with process.stdout as rest:
            rest.read()
        _, status, usage = os.wait4(process.pid, 0)
        # os.wait4 has already reaped the process, which Popen cannot know.
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode != 0 or not line:
            sys.exit(
                f"{command[0]} failed with exit status {process.returncode} after the line {line!r}: {errors.read()}"
            )
    return Start(seconds, usage.ru_maxrss * 1024, line)


def environment() -> dict[str, str]:
    """Return the environment without the variables that make Python load other packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout


def report_of(python: Path, model: Path, rounds: int, samples: dict[str, list[Start]]) -> dict[str, Any]:
    """Summarize the starts."""
    from statistics import median

    from edgecnn.core.model_file.model_file import sha256_of

    programs = {
        name: {
            "seconds_p50": median(start.seconds for start in starts),
            "seconds_max": max(start.seconds for start in starts),
            "peak_rss_bytes_p50": median(start.peak_rss_bytes for start in starts),
            "peak_rss_bytes_max": max(start.peak_rss_bytes for start in starts),
        }
        for name, starts in samples.items()
    }
    goals = [
        {"what": f"{measure} of {name}", "value": value, "target": target, "met": value <= target}
        for name in WITH_GOALS
        for measure, target in (("seconds_p50", MAX_SECONDS), ("peak_rss_bytes_p50", MAX_BYTES))
        for value in [programs[name][measure]]
    ]
    return {
        "format_version": 1,
        "model": {"name": model.stem, "sha256": sha256_of(model)},
        "environment": json.loads(output_of(python, "-c", DESCRIBE)),
        "protocol": {"rounds": rounds, "warm_up": WARM_UP, "cache": "warm"},
        "programs": programs,
        "goals": goals,
        "samples": {name: [start._asdict() for start in starts] for name, starts in samples.items()},
    }


if __name__ == "__main__":
    main()
