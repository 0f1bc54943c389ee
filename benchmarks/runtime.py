"""How many frames a second the live loop classifies, beside its peers and the bare interpreter.

    python benchmarks/runtime.py                            # EfficientNet-Lite0, ImageNet head
    python benchmarks/runtime.py --model clothes-int8.tflite --float-model clothes-float32.tflite

Everybody has the same int8 file (OpenCV's network module its float32 twin), the same 640x480 frames in memory, BGR as
OpenCV's cameras give them, and one thread for inference. Each contender is a process of its own that lives throughout
(`benchmarks/peers/`), and they take turns, A B A B, a block of frames at a time, while the others wait. What counts is
the time from one answer to the next, with all that a contender does in between. Those that need other packages than
edgecnn live in environments of their own, made when they are missing. A peer that cannot be installed or cannot run the
file has its reason in the result in place of numbers. The result, with the machine, all versions and every raw sample,
goes to benchmarks/results/.
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

MOST_OF_BARE_INVOKE = 1.05
"""A frame through the whole loop may take this many times the bare invoke."""
FASTER_THAN = {"mediapipe": 2.0, "opencv_dnn": 8.0}
"""How many times as many frames a second as a peer the loop is to classify."""


class Contender(NamedTuple):
    """A program in `peers/`."""

    name: str
    script: str
    float_model: bool = False
    requirements: Path | None = None
    """What its environment is made of; None for the environment that runs this."""


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
        models = chosen_models(arguments, Path(folder))
        record = measure(models, arguments, Path(folder))
    write_json(arguments.out, record)
    for name, told in record["contenders"].items():
        frame = told["frame"]
        print(f"{name}: {told['fps']:.1f} a second, p50 {frame['p50_ms']:.2f} ms, p99 {frame['p99_ms']:.2f} ms")
    for name, reason in record["absent"].items():
        print(f"{name}: not measured: {reason}")
    for told in record["goals"]:
        print(f"{told['what']}: {told['value']:.3f} ({told['target']}; {'met' if told['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The live loop beside its peers and the bare interpreter.")
    parser.add_argument("--model", type=Path, help="an int8 .tflite by edgecnn; made if not given")
    parser.add_argument("--float-model", type=Path, help="its float32 twin, for OpenCV's network module")
    parser.add_argument("--contenders", nargs="+", choices=[each.name for each in CONTENDERS], help="all by default")
    parser.add_argument("--environments", type=Path, default=HERE.parent / "build" / "peers", help="folder of peers'")
    parser.add_argument("--block", type=int, default=BLOCK, help="frames in a turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each contender")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="frames of each contender that are not counted")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "runtime.json")
    return parser.parse_args()


class Models(NamedTuple):
    """One network in two precisions."""

    int8: Path
    float32: Path | None


def chosen_models(arguments: argparse.Namespace, folder: Path) -> Models:
    """Those that were given, or the pretrained classifier."""
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
    """All contenders in turns; every sample is kept."""
    frames = folder / "frames.npy"
    np.save(frames, np.stack(synthetic_frames(480, 640, FRAMES, seed=0)))
    with ExitStack() as owned:
        peers: dict[str, Peer] = {}
        absent: dict[str, str] = {}
        answers: dict[str, list[int]] = {}
        for contender in CONTENDERS:
            if arguments.contenders and contender.name not in arguments.contenders:
                continue
            try:
                peer = owned.enter_context(started(contender, models, frames, arguments.environments))
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
        "contenders": {name: summary(blocks[name], versions[name]) for name in peers},
        "absent": absent,
        "goals": goals(blocks),
        "answers": answers,
        "samples": blocks,
    }


def started(contender: Contender, models: Models, frames: Path, environments: Path) -> Peer:
    """The contender's process with its model loaded. Raises `PeerFailed`."""
    model = models.float32 if contender.float_model else models.int8
    if model is None:
        raise PeerFailed("takes a float32 model, and none was given: add --float-model")
    python = Path(sys.executable)
    if contender.requirements is not None:
        python = python_of(environments / contender.name, contender.requirements)
    return Peer([python, HERE / "peers" / contender.script, model, frames])


def take_turns(peers: dict[str, Peer], block: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """What each contender tells of each of its blocks, but for the answers."""
    blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            told = peer.ask(str(block))
            del told["answers"]
            blocks[name].append(told)
    return blocks


def summary(blocks: list[dict[str, Any]], versions: dict[str, str]) -> dict[str, Any]:
    """Of a contender; the percentiles are those of the time from one answer to the next."""
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


def goals(blocks: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What can be said of the targets with the contenders that took part."""
    said: list[dict[str, Any]] = []
    if {"edgecnn", "bare_invoke"} <= blocks.keys():
        value = time_ratio(blocks["edgecnn"], blocks["bare_invoke"])
        met = value <= MOST_OF_BARE_INVOKE
        said.append(goal("time of edgecnn / bare_invoke", value, f"at most {MOST_OF_BARE_INVOKE:g}", met))
    for name, factor in FASTER_THAN.items():
        if {"edgecnn", name} <= blocks.keys():
            value = time_ratio(blocks[name], blocks["edgecnn"])
            said.append(goal(f"fps of edgecnn / {name}", value, f"at least {factor:g}", value >= factor))
    return said


def goal(what: str, value: float, target: str, met: bool) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "met": met}


def time_ratio(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    """The median over the rounds: the two blocks of a round were measured just after one another."""
    ratios: list[float] = [a["seconds"] / b["seconds"] for a, b in zip(one, other, strict=True)]
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
