"""How old a picture is when a slow consumer has its result: the truth, by cameras that number what they take.

    python benchmarks/freshness.py                          # EfficientNet-Lite0, ImageNet head, int8
    python benchmarks/freshness.py --model clothes-int8.tflite --seconds 20

Cameras on 127.0.0.1, processes of their own, take 30 pictures a second and send them over HTTP (Motion-JPEG) or RTSP
(JPEG and H.264, by GStreamer where the system's Python has it). A picture's number is in the picture, and the camera
tells which number it takes when, on the machine's clock. The live loop reads one camera, then two at once, and its
consumer spends 100 ms on each result: a little fewer than 10 results a second come out, all cameras together, so that
each of two has fewer than 5; the other pictures are dropped.

The age of a picture is the time from when it was taken to when the consumer is done with its result. It is made of

* arrival: from taken to complete here, which is the camera's encoding, the network, and what is buffered on the way;
* work: decoding, the three stages of the classifier, the consumer's 100 ms;
* waiting: the rest.

Capture-to-output is arrival and work. No picture may wait for longer than until the next one comes, so the 95th
percentile of the age is to stay within one frame interval and the 95th percentile of capture-to-output. Lest old
pictures hide in the arrival, the median of that is to stay within two frame intervals: of H.264, a picture is known to
be complete when the next one begins. The result, with the machine and every raw sample, goes to benchmarks/results/.
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
MOST_ARRIVAL_MS = 2 * INTERVAL_MS


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or export_imagenet_model(Path(folder))
        record = measure(model, arguments.transports, arguments.seconds)
    write_json(arguments.out, record)
    for run in record["runs"]:
        age, name = run["age"], f"{run['cameras']} x {run['transport']}"
        print(f"{name}: age p50 {age['p50_ms']:.1f}, p95 {age['p95_ms']:.1f}, max {age['max_ms']:.1f} ms")
        for told in run["goals"]:
            verdict = "met" if told["met"] else "not met"
            print(f"  {told['what']} {told['value']:.1f} (at most {told['target']:.1f}; {verdict})")
    for transport, reason in record["absent"].items():
        print(f"{transport}: not measured: {reason}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The true age of pictures behind a slow consumer.")
    parser.add_argument("--model", type=Path, help="an int8 .tflite by edgecnn; made if not given")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each run lasts")
    parser.add_argument("--transports", nargs="+", choices=CAMERAS, default=list(CAMERAS), help="all by default")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "freshness.json")
    return parser.parse_args()


def measure(model: Path, transports: list[str], seconds: float) -> dict[str, Any]:
    """One camera, then two, of each kind."""
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


class Seen(NamedTuple):
    """A result that the consumer is done with."""

    source: str
    number: int
    """The camera's."""
    age_ms: float
    arrival_ms: float
    work_ms: float

    @property
    def waited_ms(self) -> float:
        return self.age_ms - self.arrival_ms - self.work_ms


class SlowConsumer:
    """A sink that spends its time on each result, and then notes how old the picture is."""

    def __init__(self, clocks: dict[str, dict[str, float]]) -> None:
        self.seen: list[Seen] = []
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
        assert arrival_ms > -1, f"picture {number} came {-arrival_ms:.1f} ms before it was taken: the clocks differ"
        self.seen.append(Seen(frame.source, number, (done_ns - taken_ns) / 1e6, arrival_ms, work_ms))


def watch(classifier: Classifier, transport: str, cameras: int, seconds: float) -> dict[str, Any]:
    """A run over so many cameras of a kind. Raises `PeerFailed` where there can be none."""
    with ExitStack() as owned:
        peers = [owned.enter_context(Peer(CAMERAS[transport])) for _ in range(cameras)]
        sources = [owned.enter_context(open_surviving(peer.ready["address"])) for peer in peers]
        consumer = SlowConsumer({source.name: peer.ready for source, peer in zip(sources, peers, strict=True)})
        stop = threading.Event()
        timer = threading.Timer(seconds, stop.set)
        timer.start()
        summaries = run_loop(classifier, sources, [consumer], stop=stop)
        timer.join()
    return described(transport, consumer.seen, summaries)


def described(transport: str, seen: list[Seen], summaries: tuple[RunSummary, ...]) -> dict[str, Any]:
    """What a run comes to."""
    age = latency_stats([each.age_ms for each in seen])
    arrival = latency_stats([each.arrival_ms for each in seen])
    capture_to_output = latency_stats([each.arrival_ms + each.work_ms for each in seen])
    return {
        "transport": transport,
        "cameras": len(summaries),
        "age": age.to_json(),
        "arrival": arrival.to_json(),
        "work": latency_stats([each.work_ms for each in seen]).to_json(),
        "waited": latency_stats([each.waited_ms for each in seen]).to_json(),
        "frame_interval_ms": INTERVAL_MS,
        "capture_to_output": capture_to_output.to_json(),
        "goals": [
            goal("age p95, ms", age.p95_ms, INTERVAL_MS + capture_to_output.p95_ms),
            goal("arrival p50, ms", arrival.p50_ms, MOST_ARRIVAL_MS),
        ],
        "sources": [
            {"results": run.frames, "fps": run.fps, "dropped": run.dropped, "reconnects": run.reconnects}
            for run in summaries
        ],
        "samples": [
            [{**each._asdict(), "waited_ms": each.waited_ms} for each in seen if each.source == run.source]
            for run in summaries
        ],
    }


def goal(what: str, value: float, target: float) -> dict[str, Any]:
    return {"what": what, "value": value, "target": target, "met": value <= target}


if __name__ == "__main__":
    main()
