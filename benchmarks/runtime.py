"""Frames per second of the live loop, compared with peers and the bare interpreter.

    python benchmarks/runtime.py                            # EfficientNet-Lite0, ImageNet head
    python benchmarks/runtime.py --model clothes-int8.tflite --float-model clothes-float32.tflite

All contenders use the same int8 file (OpenCV's network module uses its float32 twin), the same 640x480 frames in
memory, BGR as OpenCV's cameras deliver them, and one thread for inference. Each contender is a separate process that
runs for the whole benchmark (`benchmarks/peers/`). They are interleaved, A B A B: each one processes a block of frames
while the others wait. The measured time is that from one answer to the next, with everything that a contender does in
between. Contenders that need other packages than edgecnn have their own environments, which are created if missing. For
a peer that cannot be installed or cannot run the file, the result contains the reason instead of numbers. The result,
with the machine, all versions and every raw sample, goes to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from frame_cost import export_imagenet_model
from peers.environments import python_of
from peers.process import Peer, PeerFailed

from edgecnn.bench.environment import describe_environment
from edgecnn.bench.frames import synthetic_frames
from edgecnn.core.atomic import write_json
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.settings.command_settings import TrainSettings

HERE = Path(__file__).parent
FRAMES, BLOCK, ROUNDS, WARM_UP = 16, 100, 25, 50

MAX_RATIO_TO_BARE_INVOKE = 1.05
"""Maximum time of a frame in the whole loop, as a multiple of the bare invoke."""
FASTER_THAN = {"mediapipe": 2.0, "opencv_dnn": 8.0}
"""Minimum frames per second of the loop, as a multiple of the peer's."""


class Contender(NamedTuple):
    """A program in `peers/`."""

    name: str
    script: str
    float_model: bool = False
    requirements: Path | None = None
    """Requirements of its own environment; None to use the environment that runs this script."""


CONTENDERS = (
    Contender("bare_invoke", "bare_invoke.py"),
    Contender("edgecnn", "edgecnn_loop.py"),
    Contender("tutorial", "tutorial_loop.py"),
    Contender("mediapipe", "mediapipe_video.py", requirements=HERE.parent / "locks" / "mediapipe.txt"),
    Contender("opencv_dnn", "opencv_dnn.py", float_model=True),
    Contender(
        "teachable_machine_lite",
        "teachable_machine.py",
        requirements=HERE / "peers" / "teachable_machine_lite.txt",
    ),
)


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        models = choose_models(arguments, Path(folder))
        record = measure(models, arguments, Path(folder))
    write_json(arguments.out, record)
    for name, contender in record["contenders"].items():
        frame = contender["frame"]
        print(f"{name}: {contender['fps']:.1f} per second, p50 {frame['p50_ms']:.2f} ms, p99 {frame['p99_ms']:.2f} ms")
    for name, reason in record["absent"].items():
        print(f"{name}: not measured: {reason}")
    for goal in record["goals"]:
        print(f"{goal['what']}: {goal['value']:.3f} ({goal['target']}; {'met' if goal['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the live loop with its peers and the bare interpreter.")
    parser.add_argument(
        "--model", type=Path, help="int8 .tflite exported by edgecnn; default: the pretrained classifier"
    )
    parser.add_argument("--float-model", type=Path, help="float32 twin of the model, for OpenCV's network module")
    parser.add_argument(
        "--contenders", nargs="+", choices=[contender.name for contender in CONTENDERS], help="default: all"
    )
    parser.add_argument(
        "--environments", type=Path, default=HERE.parent / "build" / "peers", help="folder of the peers' environments"
    )
    parser.add_argument("--block", type=int, default=BLOCK, help="frames per block")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="blocks of each contender")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="frames of each contender before the measurement")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "runtime.json")
    return parser.parse_args()


class Models(NamedTuple):
    """One network in two precisions."""

    int8: Path
    float32: Path | None


def choose_models(arguments: argparse.Namespace, folder: Path) -> Models:
    """Return the given models, or export the pretrained classifier."""
    if arguments.model is not None:
        return Models(arguments.model, arguments.float_model)
    from edgecnn.training.export import export_pretrained

    int8 = export_imagenet_model(folder)
    float32 = export_pretrained(
        "efficientnet_lite0",
        "float32",
        folder / "imagenet-float32.tflite",
        crop_fraction=TrainSettings.default("crop_fraction"),
        calibration_images=0,
        seed=0,
    )
    return Models(int8, float32)


def measure(models: Models, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all contenders, interleaved; every sample is kept."""
    frames = folder / "frames.npy"
    np.save(frames, np.stack(synthetic_frames(480, 640, FRAMES, seed=0)))
    with ExitStack() as stack:
        peers: dict[str, Peer] = {}
        absent: dict[str, str] = {}
        answers: dict[str, list[int]] = {}
        for contender in CONTENDERS:
            if arguments.contenders and contender.name not in arguments.contenders:
                continue
            try:
                peer = stack.enter_context(start(contender, models, frames, arguments.environments))
                answers[contender.name] = peer.ask(str(max(FRAMES, arguments.warm_up)))["answers"][:FRAMES]
                peers[contender.name] = peer
            except PeerFailed as failure:
                absent[contender.name] = str(failure)
        blocks = take_turns(peers, arguments.block, arguments.rounds)
        versions = {name: peer.ready["versions"] for name, peer in peers.items()}
    return {
        "format_version": 1,
        "models": {
            precision: {"name": path.stem, "sha256": sha256_of(path)}
            for precision, path in models._asdict().items()
            if path is not None
        },
        "environment": describe_environment().to_json(),
        "protocol": {
            "frames": f"{FRAMES} of 640x480, BGR, in memory",
            "threads": 1,
            "block": arguments.block,
            "rounds": arguments.rounds,
            "warm_up": arguments.warm_up,
        },
        "contenders": {name: summarize(blocks[name], versions[name]) for name in peers},
        "absent": absent,
        "goals": goal_records(blocks),
        "answers": answers,
        "samples": blocks,
    }


def start(contender: Contender, models: Models, frames: Path, environments: Path) -> Peer:
    """Start the process of a contender and wait until its model is loaded. Raise `PeerFailed` if it cannot start."""
    model = models.float32 if contender.float_model else models.int8
    if model is None:
        raise PeerFailed("takes a float32 model, and none was given: add --float-model")
    python = Path(sys.executable)
    if contender.requirements is not None:
        python = python_of(environments / contender.name, contender.requirements)
    return Peer([python, HERE / "peers" / contender.script, model, frames])


def take_turns(peers: dict[str, Peer], block: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Run the blocks of all contenders; return the report of each block without the answers."""
    blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            report = peer.ask(str(block))
            del report["answers"]
            blocks[name].append(report)
    return blocks


def summarize(blocks: list[dict[str, Any]], versions: dict[str, str]) -> dict[str, Any]:
    """Summarize a contender; the percentiles are those of the time from one answer to the next."""
    samples_ms = [sample for block in blocks for sample in block["samples_ms"]]
    seconds = sum(block["seconds"] for block in blocks)
    return {
        "versions": versions,
        "fps": len(samples_ms) / seconds,
        "frame": latency_stats(samples_ms).to_json(),
        "cpu_ms_per_frame": sum(block["cpu_seconds"] for block in blocks) * 1000 / len(samples_ms),
        "details": {
            name: latency_stats([sample for block in blocks for sample in block["details_ms"][name]]).to_json()
            for name in blocks[0]["details_ms"]
        },
    }


def goal_records(blocks: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Check the goals that the contenders in this run allow to check."""
    records: list[dict[str, Any]] = []
    if {"edgecnn", "bare_invoke"} <= blocks.keys():
        value = time_ratio(blocks["edgecnn"], blocks["bare_invoke"])
        met = value <= MAX_RATIO_TO_BARE_INVOKE
        records.append(
            goal_record("time of edgecnn / bare_invoke", value, f"at most {MAX_RATIO_TO_BARE_INVOKE:g}", met=met)
        )
    for name, factor in FASTER_THAN.items():
        if {"edgecnn", name} <= blocks.keys():
            value = time_ratio(blocks[name], blocks["edgecnn"])
            records.append(goal_record(f"fps of edgecnn / {name}", value, f"at least {factor:g}", met=value >= factor))
    return records


def goal_record(what: str, value: float, target: str, *, met: bool) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "met": met}


def time_ratio(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    """Return the median over the rounds; the two blocks of a round were measured right after each other."""
    ratios: list[float] = [a["seconds"] / b["seconds"] for a, b in zip(one, other, strict=True)]
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
