"""Cost of a frame on a Raspberry Pi's processor in instructions, measured without a Raspberry Pi.

    python benchmarks/instructions.py                       # EfficientNet-Lite0, ImageNet head, int8 and float32
    python benchmarks/instructions.py --model clothes-int8.tflite --float-model clothes-float32.tflite

qemu executes the aarch64 build of the whole device side on an emulated Cortex-A72 (Raspberry Pi 4) or Cortex-A76
(Raspberry Pi 5), and `instructions/counter.c` counts the instructions: per frame of 640x480 pixels and per stage of
`Classifier.classify`, with one thread. The interpreter chooses its kernels as it does on that processor. The counts do
not depend on this machine or its load, so a code change that makes a frame more expensive is visible down to a tenth of
a percent. Every pair of model and processor is counted in several processes, and the record contains how much they
differ.

This does not measure time. An instruction may take a fraction of a cycle or wait a hundred cycles for memory, and
counts include no effect of caches, memory bandwidth, clocks and heat. Neither milliseconds nor the faster of two
kernels can be derived from them. They do show how the work of a frame is distributed, above all the share of edgecnn
itself.

The result goes to benchmarks/results/. Needs Debian or Ubuntu, and root the first time: missing programs are installed,
and the device's files are created and kept in edgecnn's cache.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from frame_cost import export_imagenet_model

from edgecnn.core.atomic import write_json
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from tests.emulated_pi.boards import BOARDS, Board, write_board
from tests.emulated_pi.device import LOCK
from tests.emulated_pi.failure import run_or_raise
from tests.emulated_pi.layers import debian_layer, default_cache, packages_layer
from tests.emulated_pi.programs import LAYER_PROGRAMS, install_programs

HERE = Path(__file__).parent
COUNTER, PROGRAM = HERE / "instructions" / "counter.c", HERE / "instructions" / "classify_frames.py"
PROGRAMS = {**LAYER_PROGRAMS, "qemu-aarch64": "qemu-user", "cc": "gcc"}

STAGES = ("preprocess", "invoke", "postprocess", "whole")
TARGET = 0.08
"""Maximum cost of edgecnn's own work, as a share of the invoke of an int8 model."""


class Emulator(NamedTuple):
    """The plugin for qemu that counts, and the file system of the emulated program."""

    counter: Path
    root: Path
    python_path: str


def main() -> None:
    arguments = parse_arguments()
    install_programs(PROGRAMS)
    with tempfile.TemporaryDirectory() as folder:
        models = {
            "int8": arguments.model or export_imagenet_model(Path(folder)),
            "float32": arguments.float_model or export_float_model(Path(folder)),
        }
        record = measure(models, Path(folder), arguments.frames, arguments.runs)
    write_json(arguments.out, record)
    for count in record["counts"]:
        print(json.dumps({key: value for key, value in count.items() if key != "samples"}))
    for goal in record["goals"]:
        print(f"{goal['what']}: {goal['value']:.4f} (target {goal['target']})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the instructions per frame on the processor of a Raspberry Pi.")
    parser.add_argument(
        "--model", type=Path, help="int8 .tflite exported by edgecnn; default: the pretrained classifier"
    )
    parser.add_argument(
        "--float-model", type=Path, help="float32 twin of the model; default: the pretrained classifier"
    )
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "instructions.json")
    return parser.parse_args()


def export_float_model(folder: Path) -> Path:
    """Export the pretrained float classifier."""
    from edgecnn.training.export import export_pretrained

    return export_pretrained(
        "efficientnet_lite0",
        "float32",
        folder / "imagenet-float32.tflite",
        crop_fraction=TrainSettings.default("crop_fraction"),
        calibration_images=ExportSettings.default("calibration_images"),
        seed=0,
    )


def measure(models: dict[str, Path], folder: Path, frames: int, runs: int) -> dict[str, Any]:
    """Count every model on every processor; all counts are kept."""
    counts = []
    for board in BOARDS.values():
        emulator = make_emulator(folder / board.cpu, board)
        for precision, model in models.items():
            samples = [count_instructions(emulator, board, model, frames) for _ in range(runs)]
            counts.append({"cpu": board.cpu, "board": board.model, "precision": precision} | summarize(samples))
    own = {count["cpu"]: count["own_share_of_invoke"] for count in counts if count["precision"] == "int8"}
    return {
        "format_version": 1,
        "models": {precision: {"name": path.stem, "sha256": sha256_of(path)} for precision, path in models.items()},
        "environment": environment(emulator),
        "protocol": {"frames": "640x480", "threads": 1, "frames_per_run": frames, "runs": runs},
        "counts": counts,
        "goals": [
            {"what": f"(whole - invoke) / invoke, int8, {cpu}", "value": share, "target": TARGET}
            for cpu, share in own.items()
        ],
    }


def make_emulator(folder: Path, board: Board) -> Emulator:
    """Create a root of links into the device's layers, in which qemu looks up absolute paths before the host's root."""
    cache = default_cache()
    debian = debian_layer(cache)
    root = folder / "root"
    write_board(root / "proc", root / "sys", board)
    for name in ("bin", "etc", "lib", "usr"):
        (root / name).symlink_to(debian / name)
    counter = folder / "counter.so"
    run_or_raise("cc", "-shared", "-fPIC", "-O2", "-o", counter, COUNTER)
    packages = packages_layer(cache, LOCK) / "usr/local/lib/python3.11/dist-packages"
    return Emulator(counter, root, f"{packages}:{HERE.parent}")


def run_emulated(emulator: Emulator, options: Sequence[str], arguments: Sequence[str | Path]) -> str:
    """Run a Python program under qemu with a clean environment; return its output."""
    # Random addresses and a random order of sets would change the counts by some thousands.
    environment = {"PYTHONPATH": emulator.python_path, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    variables = [f"{name}={value}" for name, value in environment.items()]
    python = emulator.root / "usr/bin/python3.11"
    qemu = ["qemu-aarch64", "-L", emulator.root, *options, python, *arguments]
    return run_or_raise("setarch", "--addr-no-randomize", "env", "-i", "PATH=/usr/bin:/bin", *variables, *qemu)


def count_instructions(emulator: Emulator, board: Board, model: Path, frames: int) -> dict[str, list[int]]:
    """Count the instructions of each stage, frame by frame, in one process."""
    out = emulator.counter.with_name("counts.txt")
    options = ("-cpu", board.cpu, "-plugin", f"{emulator.counter},out={out}")
    printed = run_emulated(emulator, options, [PROGRAM, model, str(frames)])
    empty, boundaries = json.loads(printed)
    marks = [int(line) for line in out.read_text().splitlines()]
    if len(marks) != empty + boundaries * frames:
        raise SystemExit(
            f"expected {empty} + {boundaries} * {frames} marks, got {len(marks)}: more than one thread ran"
        )
    # The minimum, since Python collects garbage now and then.
    mark = min(after - before for before, after in itertools.pairwise(marks[:empty]))
    samples: dict[str, list[int]] = {stage: [] for stage in STAGES}
    for first in range(empty, len(marks), boundaries):
        before, started, prepared, invoking, invoked, done, after = marks[first : first + boundaries]
        samples["preprocess"].append(prepared - started - mark)
        samples["invoke"].append(invoked - invoking - mark)
        samples["postprocess"].append(done - invoked - mark)
        samples["whole"].append(after - before - (boundaries - 1) * mark)
    return samples


def summarize(runs: list[dict[str, list[int]]]) -> dict[str, Any]:
    """Return the medians over all frames, the difference between the medians of the runs, and all counts."""
    medians = {stage: int(statistics.median(itertools.chain(*(run[stage] for run in runs)))) for stage in STAGES}
    by_run = [statistics.median(run["whole"]) for run in runs]
    return {
        "instructions": medians,
        "own_share_of_invoke": (medians["whole"] - medians["invoke"]) / medians["invoke"],
        "difference_between_runs": (max(by_run) - min(by_run)) / min(by_run),
        "samples": runs,
    }


def environment(emulator: Emulator) -> dict[str, str]:
    """Return the versions of the emulated software and of qemu."""
    program = (
        "import json, platform; from importlib.metadata import version\n"
        "names = ('ai-edge-litert', 'numpy', 'opencv-python')\n"
        "print(json.dumps({'machine': platform.machine(), 'python': platform.python_version()}"
        " | {name: version(name) for name in names}))"
    )
    versions: dict[str, str] = json.loads(run_emulated(emulator, (), ["-c", program]))
    return {"qemu": run_or_raise("qemu-aarch64", "--version").splitlines()[0], **versions}


if __name__ == "__main__":
    main()
