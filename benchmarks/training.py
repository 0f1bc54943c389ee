"""Duration of training compared with the Keras script of the tutorials: the whole process, from start to end.

    python benchmarks/training.py --data photos/
    python benchmarks/training.py --data photos/ --per-class 20 --epochs 2      # a quick look, one or two minutes

The peer (`peers/keras_transfer.py`) trains a new head over the same frozen backbone with the same weights, input size
and photos, for ten epochs, with `image_dataset_from_directory` and `fit`. `edgecnn train` trains for at most as many
epochs, with its own defaults otherwise: once with an empty cache and once again. It also measures the test photos,
draws its charts and writes a run that can be exported, which the peer does not. If `--peer-rounds` is less than
`--rounds`, the peer takes part in the first rounds only. Programs and photos are read once before the first round, so
that they are in the system's cache for everyone.

The accuracy is that on the validation photos: of edgecnn's run as it was saved, and of the peer's last epoch. The
memory is the peak resident memory (RSS) of the process. The result, with the machine and every raw sample,
goes to benchmarks/results/.
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
from statistics import median
from typing import Any, NamedTuple

# The kernel's peak memory of a process includes the time before exec, when it was a copy of this one. So this process
# must stay small: it does not import OpenCV or numpy until everything is measured.

HERE = Path(__file__).parent
ROUNDS, PEER_ROUNDS, EPOCHS = 3, 1, 10
FASTER_FIRST, FASTER_SECOND = 8, 30
"""Minimum ratio of the peer's wall time to edgecnn's, with an empty cache and with a full one."""
MAX_POINTS_LOST = 0.5

WARM_UP = "import edgecnn.training.keras, edgecnn.cli.app, matplotlib.pyplot, sklearn.metrics"


class Run(NamedTuple):
    """One process from start to end."""

    seconds: float
    cpu_seconds: float
    """Processor time of all its threads, in user and kernel mode."""
    peak_rss_bytes: int
    validation_accuracy: float


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data.absolute()
        if arguments.per_class is not None:
            data = few_photos(data, arguments.per_class, Path(folder))
        samples, histories = measure(data, arguments, Path(folder))
        photos = counts(data)
    record = report_of(arguments, photos, samples, histories)
    from edgecnn.core.atomic import write_json

    write_json(arguments.out, record)
    for name, program in record["programs"].items():
        print(
            f"{name}: {program['seconds_p50']:.1f} s ({program['cpu_seconds_p50']:.1f} s of CPU time), "
            f"memory {program['peak_rss_bytes_max'] / 1e6:.0f} MB, "
            f"validation accuracy {program['validation_accuracy']:.4f}"
        )
    for goal in record["goals"]:
        print(f"{goal['what']}: {goal['value']:.2f} ({goal['target']}; {'met' if goal['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare training with the Keras script of the tutorials.")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and validation/ of class folders")
    parser.add_argument("--per-class", type=int, help="number of photos per class and split; default: all")
    parser.add_argument("--model", default="efficientnet_lite0", help="backbone")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of both programs")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of edgecnn, each with its own cache")
    parser.add_argument("--peer-rounds", type=int, default=PEER_ROUNDS, help="rounds of the peer")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.json")
    arguments = parser.parse_args()
    splits = {path.name for path in arguments.data.glob("*/")}
    if "train" not in splits or not splits & {"validation", "val"}:
        parser.error(f"expected train/ and validation/ in {arguments.data}, got {', '.join(sorted(splits)) or 'none'}")
    if not 1 <= arguments.peer_rounds <= arguments.rounds:
        parser.error("expected --peer-rounds from 1 to --rounds")
    return arguments


def few_photos(data: Path, per_class: int, folder: Path) -> Path:
    """Create a folder of links to the first photos of each class and split."""
    for split in data.glob("*/"):
        for class_folder in split.glob("*/"):
            links = folder / "photos" / split.name / class_folder.name
            links.mkdir(parents=True)
            for photo in sorted(class_folder.iterdir())[:per_class]:
                (links / photo.name).symlink_to(photo)
    return folder / "photos"


def counts(data: Path) -> dict[str, int]:
    """Files in each split."""
    return {split.name: sum(1 for path in split.rglob("*") if path.is_file()) for split in sorted(data.glob("*/"))}


def measure(
    data: Path, arguments: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[Run]], list[dict[str, list[float]]]]:
    """All runs, and the peer's histories."""
    peer = [HERE / "peers" / "keras_transfer.py", data, arguments.model, arguments.epochs]
    subprocess.run([sys.executable, "-c", WARM_UP], check=True, capture_output=True)
    for photo in data.rglob("*"):
        if photo.is_file():
            photo.read_bytes()
    samples: dict[str, list[Run]] = {"keras": [], "edgecnn": [], "edgecnn again": []}
    histories = []
    for number in range(arguments.rounds):
        if number < arguments.peer_rounds:
            run, history = run_to_end(peer, folder, lambda output: float(output["val_accuracy"][-1]))
            samples["keras"].append(run)
            histories.append(history)
        for name in ("edgecnn", "edgecnn again"):
            out = folder / f"{name.replace(' ', '-')}-{number}"
            command = ["-m", "edgecnn", "train", data, "--out", out, "--model", arguments.model]
            command += ["--epochs", arguments.epochs, "--json"]
            cache = folder / f"cache-{number}"
            samples[name].append(run_to_end(command, cache, lambda output: output["metrics"]["validation_accuracy"])[0])
    return samples, histories


def run_to_end(arguments: list[Any], cache: Path, accuracy: Any) -> tuple[Run, Any]:
    """Run a Python program that prints JSON, with a cache folder; exit if it fails."""
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(
            command, stdout=output, stderr=errors, env=os.environ | {"EDGECNN_CACHE": str(cache)}, cwd=HERE.parent
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = (time.monotonic_ns() - began_ns) / 1e9
        # os.wait4 has already reaped the process, which Popen cannot know.
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed with exit status {process.returncode}: {errors.read()}")
        # `image_dataset_from_directory` first prints the number of photos that it found.
        text = output.read()
        printed = json.loads(text[text.index("{") :])
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, accuracy(printed)), printed


def report_of(
    arguments: argparse.Namespace, photos: dict[str, int], samples: dict[str, list[Run]], histories: list[Any]
) -> dict[str, Any]:
    """Summarize the runs."""
    from edgecnn.bench.environment import describe_environment
    from edgecnn.core.versions import versions_of

    programs = {name: summarize(runs) for name, runs in samples.items()}
    return {
        "format_version": 1,
        "environment": describe_environment().to_json(),
        "versions": versions_of(("edgecnn", "tensorflow", "tf-keras", "ai-edge-litert", "opencv-python", "numpy")),
        "protocol": {
            "model": arguments.model,
            "photos": photos,
            "epochs": arguments.epochs,
            "rounds": arguments.rounds,
            "peer_rounds": arguments.peer_rounds,
        },
        "programs": programs,
        "goals": goal_records(programs),
        "peer_histories": histories,
        "samples": {name: [run._asdict() for run in runs] for name, runs in samples.items()},
    }


def summarize(runs: list[Run]) -> dict[str, float]:
    return {
        "seconds_p50": median(run.seconds for run in runs),
        "cpu_seconds_p50": median(run.cpu_seconds for run in runs),
        "peak_rss_bytes_max": max(run.peak_rss_bytes for run in runs),
        "validation_accuracy": median(run.validation_accuracy for run in runs),
    }


def goal_records(programs: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    records = []
    for name, factor in (("edgecnn", FASTER_FIRST), ("edgecnn again", FASTER_SECOND)):
        value = programs["keras"]["seconds_p50"] / programs[name]["seconds_p50"]
        records.append(goal_record(f"time of keras / {name}", value, f"at least {factor}", met=value >= factor))
    lost = 100 * (programs["keras"]["validation_accuracy"] - programs["edgecnn"]["validation_accuracy"])
    within_limit = lost <= MAX_POINTS_LOST
    records.append(goal_record("points of accuracy lost", lost, f"at most {MAX_POINTS_LOST}", met=within_limit))
    return records


def goal_record(what: str, value: float, target: str, *, met: bool) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "met": met}


if __name__ == "__main__":
    main()
