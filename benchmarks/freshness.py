"""True age of a picture when a slow consumer has processed its result, measured with cameras that number pictures.

    python benchmarks/freshness.py                          # EfficientNet-Lite0, ImageNet head, int8
    python benchmarks/freshness.py --model clothes-int8.tflite --seconds 20

Cameras on 127.0.0.1, in separate processes, take 30 pictures per second and send them over HTTP (Motion-JPEG) or RTSP
(JPEG and H.264, with GStreamer if the system's Python has it). Each picture contains its number, and the camera reports
when it takes which number, on the machine's clock. The live loop reads one camera, then two at once, and its consumer
spends 100 ms on each result. So there are a little fewer than 10 results per second in total, or 5 for each of two
cameras; the other pictures are dropped.

The age of a picture is the time from its capture until the consumer has processed its result. It consists of

* arrival: from capture until the picture is complete here: encoding, network, and buffers in between;
* work: decoding, the three stages of the classifier, the consumer's 100 ms;
* waiting: the rest.

Capture-to-output is arrival plus work. No picture may wait longer than until the next one arrives, so the 95th
percentile of the age must not exceed one frame interval plus the 95th percentile of capture-to-output. So that old
pictures cannot hide in the arrival, the median arrival must not exceed two frame intervals: an H.264 picture is only
known to be complete when the next one begins. The result, with the machine and every raw sample, goes to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from frame_cost import export_imagenet_model
from peers.process import Peer, PeerFailed

from edgecnn.bench.environment import describe_environment
from edgecnn.core.atomic import write_json
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live.loop import run_loop
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources import open_surviving
from edgecnn.runtime.sources.pattern import pattern_number

HERE = Path(__file__).parent
FPS, SECONDS, CONSUMER_S = 30.0, 60.0, 0.1
SYSTEM_PYTHON = Path("/usr/bin/python3")
CAMERAS: dict[str, tuple[str | Path, ...]] = {
    "http": (sys.executable, HERE / "peers" / "mjpeg_camera.py", f"{FPS:g}"),
    "rtsp-jpeg": (SYSTEM_PYTHON, HERE / "peers" / "rtsp_camera.py", f"{FPS:g}", "jpeg"),
    "rtsp-h264": (SYSTEM_PYTHON, HERE / "peers" / "rtsp_camera.py", f"{FPS:g}", "h264"),
}
AT_ONCE = (1, 2)
INTERVAL_MS = 1000 / FPS
MAX_ARRIVAL_MS = 2 * INTERVAL_MS


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or export_imagenet_model(Path(folder))
        record = measure(model, arguments.transports, arguments.seconds)
    write_json(arguments.out, record)
    for run in record["runs"]:
        age, name = run["age"], f"{run['cameras']} x {run['transport']}"
        print(f"{name}: age p50 {age['p50_ms']:.1f}, p95 {age['p95_ms']:.1f}, max {age['max_ms']:.1f} ms")
        for goal in run["goals"]:
            verdict = "met" if goal["met"] else "not met"
            print(f"  {goal['what']} {goal['value']:.1f} (at most {goal['target']:.1f}; {verdict})")
    for transport, reason in record["absent"].items():
        print(f"{transport}: not measured: {reason}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the true age of pictures behind a slow consumer.")
    parser.add_argument(
        "--model", type=Path, help="int8 .tflite exported by edgecnn; default: the pretrained classifier"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="duration of each run")
    parser.add_argument("--transports", nargs="+", choices=CAMERAS, default=list(CAMERAS), help="default: all")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "freshness.json")
    return parser.parse_args()


def measure(model: Path, transports: list[str], seconds: float) -> dict[str, Any]:
    """Measure one camera, then two, of each kind."""
    classifier = Classifier(load_model(model), threads=1)
    classifier.classify(np.zeros((480, 640, 3), np.uint8))
    runs: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    for transport in transports:
        try:
            runs += [watch(classifier, transport, cameras, seconds) for cameras in AT_ONCE]
        except PeerFailed as failure:
            absent[transport] = str(failure)
    return {
        "format_version": 1,
        "model": {"name": model.stem, "sha256": sha256_of(model)},
        "environment": describe_environment().to_json(),
        "protocol": {"frames": "640x480", "fps": FPS, "consumer_ms": CONSUMER_S * 1000, "seconds": seconds},
        "runs": runs,
        "absent": absent,
    }


class Processed(NamedTuple):
    """A result that the consumer has processed."""

    source: str
    number: int
    """Number of the picture, given by the camera."""
    age_ms: float
    arrival_ms: float
    work_ms: float

    @property
    def waited_ms(self) -> float:
        return self.age_ms - self.arrival_ms - self.work_ms


class SlowConsumer:
    """A sink that takes a fixed time for each result, and then records the age of the picture."""

    def __init__(self, clocks: dict[str, dict[str, float]]) -> None:
        self.processed: list[Processed] = []
        self._clocks = clocks

    def __call__(self, result: Result, /) -> None:
        frame, began_ns = result.frame, time.monotonic_ns()
        number = pattern_number(frame.pixels)
        time.sleep(CONSUMER_S)
        done_ns = time.monotonic_ns()
        clock = self._clocks[frame.source]
        taken_ns = clock["born_ns"] + number * clock["period_ns"]
        work_ms = frame.capture_ms + sum(result.prediction.latency_ms) + (done_ns - began_ns) / 1e6
        arrival_ms = (frame.captured_ns - taken_ns) / 1e6
        assert arrival_ms > -1, f"picture {number} arrived {-arrival_ms:.1f} ms before it was taken: the clocks differ"
        self.processed.append(Processed(frame.source, number, (done_ns - taken_ns) / 1e6, arrival_ms, work_ms))


def watch(classifier: Classifier, transport: str, cameras: int, seconds: float) -> dict[str, Any]:
    """Run the loop on N cameras of a kind. Raise `PeerFailed` if this kind of camera cannot run here."""
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(CAMERAS[transport])) for _ in range(cameras)]
        sources = [stack.enter_context(open_surviving(peer.ready["address"])) for peer in peers]
        consumer = SlowConsumer({source.name: peer.ready for source, peer in zip(sources, peers, strict=True)})
        stop = threading.Event()
        timer = threading.Timer(seconds, stop.set)
        timer.start()
        summaries = run_loop(classifier, sources, [consumer], stop=stop)
        timer.join()
    return summarize(transport, consumer.processed, summaries)


def summarize(transport: str, processed: list[Processed], summaries: tuple[RunSummary, ...]) -> dict[str, Any]:
    """Summarize a run."""
    age = latency_stats([result.age_ms for result in processed])
    arrival = latency_stats([result.arrival_ms for result in processed])
    capture_to_output = latency_stats([result.arrival_ms + result.work_ms for result in processed])
    return {
        "transport": transport,
        "cameras": len(summaries),
        "age": age.to_json(),
        "arrival": arrival.to_json(),
        "work": latency_stats([result.work_ms for result in processed]).to_json(),
        "waited": latency_stats([result.waited_ms for result in processed]).to_json(),
        "frame_interval_ms": INTERVAL_MS,
        "capture_to_output": capture_to_output.to_json(),
        "goals": [
            goal_record("age p95, ms", age.p95_ms, INTERVAL_MS + capture_to_output.p95_ms),
            goal_record("arrival p50, ms", arrival.p50_ms, MAX_ARRIVAL_MS),
        ],
        "sources": [
            {"results": run.frames, "fps": run.fps, "dropped": run.dropped, "reconnects": run.reconnects}
            for run in summaries
        ],
        "samples": [
            [{**result._asdict(), "waited_ms": result.waited_ms} for result in processed if result.source == run.source]
            for run in summaries
        ],
    }


def goal_record(what: str, value: float, target: float) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "met": value <= target}


if __name__ == "__main__":
    main()
