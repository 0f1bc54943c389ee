"""Endurance of the live loop: growth of its memory over many frames, and resources leaked by fifty camera faults.

    python benchmarks/endurance.py                          # 200,000 frames, a small int8 network
    python benchmarks/endurance.py --model clothes-int8.tflite --frames 20000

Frames: one process classifies a 160x120 test pattern without pause and writes the results to /dev/null as JSON lines.
Its resident memory (RSS) is read every 1,000 frames. The measured growth is the maximum after a warm-up of 10,000
frames minus the value at the end of the warm-up. The default network is EfficientNet-Lite0 at 64x64 pixels, trained
briefly on the handwritten digits in a separate process, so that the training does not add to the measured memory.

Faults: a camera in another process fails in every way, 45 times within a connection (it closes, stalls, sends half a
picture, garbage, no boundary, another size) and 5 times by dying and coming back on its port. The loop must recover
from each fault, and have as many threads and file descriptors afterwards as before. The result, with the machine and
every raw sample, goes to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers.process import Peer

from edgecnn.bench.environment import describe_environment
from edgecnn.core.atomic import write_json
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.sinks import JsonLines, Result
from edgecnn.runtime.sources import Backoff, SourceOptions, SurvivingSource, open_source, open_surviving
from edgecnn.runtime.sources.surviving import SourceStatus

HERE = Path(__file__).parent
FRAMES, WARM_UP, EVERY = 200_000, 10_000, 1_000
MAX_GROWTH_BYTES = 5_000_000
BY_CONNECTION, DEATHS = 45, 5
FAULTS = ("close", "stall", "half", "half and close", "garbage", "resize", "garbage for ever", "no boundary")
STALL_TIMEOUT_S, BACKOFF = 0.3, Backoff(first_s=0.01, longest_s=0.02)
RECOVERY_DEADLINE_S, CLEANUP_DEADLINE_S = 30.0, 10.0


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or in_separate_process(train_small_model, Path(folder))
        frames = run_long(model, arguments.frames, arguments.warm_up, arguments.every)
        faults = run_faults(model, arguments.faults, arguments.deaths)
        record = {
            "format_version": 1,
            "model": {"name": model.stem, "sha256": sha256_of(model)},
            "environment": describe_environment().to_json(),
            "frames": frames,
            "faults": faults,
        }
    write_json(arguments.out, record)
    for goal in frames["goals"] + faults["goals"]:
        print(f"{goal['what']}: {goal['value']} ({goal['target']}; {'met' if goal['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure the memory over many frames, and the resources leaked by camera faults."
    )
    parser.add_argument("--model", type=Path, help="int8 .tflite exported by edgecnn; default: a small one is trained")
    parser.add_argument("--frames", type=int, default=FRAMES, help="number of frames, including the warm-up")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="frames before memory is compared")
    parser.add_argument("--every", type=int, default=EVERY, help="frames between two readings of the memory")
    parser.add_argument("--faults", type=int, default=BY_CONNECTION, help="number of connections that fail")
    parser.add_argument(
        "--deaths", type=int, default=DEATHS, help="number of times that the camera dies and comes back"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "endurance.json")
    arguments = parser.parse_args()
    if not 0 < arguments.every <= arguments.warm_up <= arguments.frames or arguments.warm_up % arguments.every:
        parser.error("expected --warm-up to be a multiple of --every and at most --frames")
    return arguments


def in_separate_process(make: Callable[[Path], Path], folder: Path) -> Path:
    """Call `make` in another process, so that its imports do not use memory in this one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(make, folder).result()


def train_small_model(folder: Path) -> Path:
    """Train and export an int8 EfficientNet-Lite0 of 64x64 pixels in `folder`."""
    os.environ["EDGECNN_CACHE"] = str(folder / "cache")
    from edgecnn.core.settings.augment import AugmentSettings
    from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
    from edgecnn.pipeline.digits import write_digits
    from edgecnn.training.export import export_run
    from edgecnn.training.train import train

    write_digits(folder / "digits")
    settings = TrainSettings(height=64, epochs=2, augment=AugmentSettings(flip=False))
    train(folder / "digits", folder / "digits64", settings)
    return export_run(folder / "digits64", ExportSettings(precisions=("int8",)))[-1]


class MemoryWatch:
    """A sink that reads this process's memory every N results."""

    def __init__(self, every: int) -> None:
        self.rss_bytes: list[int] = []
        self._every = every
        self._results = 0

    def __call__(self, result: Result, /) -> None:
        self._results += 1
        if self._results % self._every == 0:
            self.rss_bytes.append(rss_bytes())


def run_long(model: Path, frames: int, warm_up: int, every: int) -> dict[str, Any]:
    """Classify many frames of a small picture and watch the memory."""
    classifier = Classifier(load_model(model), threads=1)
    watch = MemoryWatch(every)
    with open(os.devnull, "w") as null, open_source("pattern:160x120@0") as source:
        (summary,) = run_loop(classifier, [source], [JsonLines(null), watch], LoopSettings(max_frames=frames))
    after_warm_up = watch.rss_bytes[warm_up // every - 1 :]
    growth_bytes = max(after_warm_up) - after_warm_up[0]
    return {
        "protocol": {"frames": frames, "warm_up": warm_up, "every": every, "source": summary.source},
        "seconds": summary.seconds,
        "growth_bytes": growth_bytes,
        "goals": [goal_record("growth of the memory, bytes", growth_bytes, MAX_GROWTH_BYTES)],
        "samples": {"rss_bytes": watch.rss_bytes},
    }


def run_faults(model: Path, faults: int, deaths: int) -> dict[str, Any]:
    """Run the loop on one camera through all its faults."""
    classifier = Classifier(load_model(model), threads=1)
    classifier.classify(np.zeros((240, 320, 3), np.uint8))
    kinds = list(islice(cycle(FAULTS), faults))
    with Peer([sys.executable, HERE / "peers" / "faulty_camera.py", *kinds]) as camera:
        before = resources()
        status, rss_at_recovery, results = endure(classifier, camera, faults, deaths)
        after = resources_after_cleanup(before)
        faults_done = camera.ask("faults")["faults"]
    return {
        "protocol": {"by_connection": kinds, "deaths": deaths, "stall_timeout_s": STALL_TIMEOUT_S},
        "happened": faults_done + deaths,
        "results": results,
        "status": asdict(status),
        "before": before._asdict(),
        "after": after._asdict(),
        "goals": [
            goal_record("faults not recovered from", faults + deaths - status.reconnects, 0),
            goal_record("threads left behind", after.threads - before.threads, 0),
            goal_record("descriptors left behind", after.descriptors - before.descriptors, 0),
        ],
        "samples": {"rss_bytes_at_recovery": rss_at_recovery},
    }


def endure(classifier: Classifier, camera: Peer, faults: int, deaths: int) -> tuple[SourceStatus, list[int], int]:
    """Return the status of the source, the memory after each recovery, and the number of results."""
    options = SourceOptions(stall_timeout_s=STALL_TIMEOUT_S)
    stop = threading.Event()
    rss_at_recovery: list[int] = []
    with open_surviving(camera.ready["address"], options, backoff=BACKOFF) as source:
        assert isinstance(source, SurvivingSource)

        def watch_recoveries() -> None:
            for fault in range(faults + deaths):
                if fault >= faults:
                    die_and_come_back(camera, source)
                if not wait_until(partial(has_come_back, source, fault + 1), RECOVERY_DEADLINE_S):
                    break
                rss_at_recovery.append(rss_bytes())
            stop.set()

        watcher = threading.Thread(target=watch_recoveries)
        watcher.start()
        (summary,) = run_loop(classifier, [source], [], stop=stop)
        watcher.join()
        return source.status, rss_at_recovery, summary.frames


def die_and_come_back(camera: Peer, source: SurvivingSource) -> None:
    """Stop the camera until the source has noticed."""
    camera.ask("die")
    wait_until(lambda: source.status.state == "reconnecting", RECOVERY_DEADLINE_S)
    camera.ask("come back")


def has_come_back(source: SurvivingSource, times: int) -> bool:
    return source.status.reconnects >= times


def wait_until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until the condition is true; return False if the deadline passes first."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


class Resources(NamedTuple):
    """Resources of this process."""

    threads: int
    descriptors: int
    rss_bytes: int


def resources() -> Resources:
    gc.collect()
    return Resources(threading.active_count(), len(os.listdir("/proc/self/fd")), rss_bytes())


def resources_after_cleanup(before: Resources) -> Resources:
    """Return the resources once threads have had time to end."""
    wait_until(lambda: nothing_leaked(resources(), before), CLEANUP_DEADLINE_S)
    return resources()


def nothing_leaked(now: Resources, before: Resources) -> bool:
    return now.threads <= before.threads and now.descriptors <= before.descriptors


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def goal_record(what: str, value: int, maximum: int) -> dict[str, Any]:
    return {"what": what, "value": value, "target": f"at most {maximum}", "met": value <= maximum}


if __name__ == "__main__":
    main()
