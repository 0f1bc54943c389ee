"""Cost of a camera frame beyond the interpreter: the whole path compared with the invoke, with one thread.

    python benchmarks/frame_cost.py                          # EfficientNet-Lite0, ImageNet head, int8
    python benchmarks/frame_cost.py --model clothes-int8.tflite

Frames are 640x480. Two measurements are interleaved, A B A B, in one process: edgecnn's `Classifier.classify` (resize,
invoke, ranking), and a bare `invoke()` of a second interpreter on the same file, repeated on the same input. The first
includes the invoke of a real frame, whose input is not in the processor's caches; the second is the fastest that the
interpreter can be. The result, with the machine and every raw sample, goes to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from edgecnn.bench.environment import describe_environment
from edgecnn.bench.frames import synthetic_frames
from edgecnn.core.atomic import write_json
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.inference.interpreter import open_interpreter

BLOCK, ROUNDS, WARM_UP = 20, 25, 50
TARGET = 1.10
"""Maximum median of the whole path, as a multiple of the median invoke."""


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or export_imagenet_model(Path(folder))
        record = measure(model)
    write_json(arguments.out, record)
    print(json.dumps({key: value for key, value in record.items() if key != "samples"}, indent=1))
    print(f"whole path / its invoke: {record['ratio_to_its_invoke']:.3f} (target {TARGET})")
    print(f"whole path / bare invoke: {record['ratio_to_bare_invoke']:.3f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the whole path of a frame with the bare invoke.")
    parser.add_argument(
        "--model", type=Path, help="int8 .tflite exported by edgecnn; default: the pretrained classifier"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "frame_cost.json")
    return parser.parse_args()


def export_imagenet_model(folder: Path) -> Path:
    """Export the pretrained int8 classifier, calibrated with scikit-image's sample photos."""
    import skimage.data

    from edgecnn.training.export import export_pretrained

    photos = folder / "photos"
    photos.mkdir()
    for file in Path(skimage.data.data_dir).iterdir():
        if file.suffix in {".jpg", ".png"}:
            (photos / file.name).write_bytes(file.read_bytes())
    return export_pretrained(
        "efficientnet_lite0",
        "int8",
        folder / "imagenet-int8.tflite",
        crop_fraction=TrainSettings.default("crop_fraction"),
        calibration=photos,
        calibration_images=ExportSettings.default("calibration_images"),
        seed=0,
    )


def measure(path: Path) -> dict[str, Any]:
    """Measure both, interleaved; every sample is kept."""
    classifier = Classifier(load_model(path), threads=1)
    bare = open_interpreter(path, threads=1)
    frames = synthetic_frames(480, 640, 16, seed=0)
    whole_ms: list[float] = []
    inner_ms: list[float] = []
    bare_ms: list[float] = []
    for frame in islice(cycle(frames), WARM_UP):
        classifier.classify(frame)
        bare.invoke()
    for _ in range(ROUNDS):
        for frame in islice(cycle(frames), BLOCK):
            spent_ms, prediction = timed_ms(partial(classifier.classify, frame))
            whole_ms.append(spent_ms)
            inner_ms.append(prediction.latency_ms.invoke)
        bare_ms += [timed_ms(bare.invoke)[0] for _ in range(BLOCK)]
    return {
        "format_version": 1,
        "model": {"name": path.stem, "sha256": sha256_of(path), "backbone": classifier.model.card.backbone},
        "environment": describe_environment().to_json(),
        "protocol": {"frames": "640x480", "threads": 1, "block": BLOCK, "rounds": ROUNDS, "warm_up": WARM_UP},
        "whole_path": latency_stats(whole_ms).to_json(),
        "its_invoke": latency_stats(inner_ms).to_json(),
        "bare_invoke": latency_stats(bare_ms).to_json(),
        "ratio_to_its_invoke": statistics.median(whole_ms) / statistics.median(inner_ms),
        "ratio_to_bare_invoke": statistics.median(whole_ms) / statistics.median(bare_ms),
        "target": TARGET,
        "samples": {"whole_path_ms": whole_ms, "its_invoke_ms": inner_ms, "bare_invoke_ms": bare_ms},
    }


def timed_ms(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the duration of a call and its result."""
    started = time.perf_counter_ns()
    result = call()
    return (time.perf_counter_ns() - started) / 1e6, result


if __name__ == "__main__":
    main()
