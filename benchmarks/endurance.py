"""Whether the live loop stays as it is: its memory over many frames, and what fifty faults of a camera leave behind.

    python benchmarks/endurance.py                          # 200,000 frames, a small int8 network
    python benchmarks/endurance.py --model clothes-int8.tflite --frames 20000

Frames: a test pattern of 160x120 without pause, its results written to /dev/null as lines of JSON, in one process. The
memory that this occupies (RSS) is read every 1,000 frames; what counts is the most after a warm-up of 10,000 frames
against that at its end. The default network is EfficientNet-Lite0 at 64x64 pixels, trained for a moment on the
handwritten digits in a process of its own, so that nothing of the training is in the memory measured.

Faults: a camera in another process goes wrong in every way, 45 times by connection (it closes, stalls, sends half a
picture, garbage, no boundary, another size) and 5 times by dying and coming back on its port. Each must be recovered
from, and threads and file descriptors must be as many afterwards as before. The result, with the machine and every raw
sample, goes to benchmarks/results/.
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
MOST_GROWTH_BYTES = 5_000_000
BY_CONNECTION, DEATHS = 45, 5
FAULTS = ("close", "stall", "half", "half and close", "garbage", "resize", "garbage for ever", "no boundary")
STALL_TIMEOUT_S, BACKOFF = 0.3, Backoff(first_s=0.01, longest_s=0.02)
RECOVERY_DEADLINE_S, LEAVING_DEADLINE_S = 30.0, 10.0


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or in_own_process(train_small_model, Path(folder))
        frames = run_long(model, arguments.frames, arguments.warm_up, arguments.every)
        faults = suffer(model, arguments.faults, arguments.deaths)
        record = {
            "format_version": 1,
            "model": {"name": model.stem, "sha256": sha256_of(model)},
            "environment": describe_environment().to_json(),
            "frames": frames,
            "faults": faults,
        }
    write_json(arguments.out, record)
    for told in frames["goals"] + faults["goals"]:
        print(f"{told['what']}: {told['value']} ({told['target']}; {'met' if told['met'] else 'not met'})")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory over many frames, and what a camera's faults leave behind.")
    parser.add_argument("--model", type=Path, help="an int8 .tflite by edgecnn; a small one is made if not given")
    parser.add_argument("--frames", type=int, default=FRAMES, help="all of them, with those of the warm-up")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="frames before memory counts")
    parser.add_argument("--every", type=int, default=EVERY, help="frames between two looks at the memory")
    parser.add_argument("--faults", type=int, default=BY_CONNECTION, help="connections that go wrong")
    parser.add_argument("--deaths", type=int, default=DEATHS, help="times that the camera dies and comes back")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "endurance.json")
    arguments = parser.parse_args()
    if not 0 < arguments.every <= arguments.warm_up <= arguments.frames or arguments.warm_up % arguments.every:
        parser.error("expected --every to divide --warm-up, and that to be no more than --frames")
    return arguments


def in_own_process(make: Callable[[Path], Path], folder: Path) -> Path:
    """What `make` returns, without what it imports."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(make, folder).result()


def train_small_model(folder: Path) -> Path:
    """An int8 EfficientNet-Lite0 of 64x64 pixels in `folder`."""
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
    """A sink that looks at this process's memory every so many results."""

    def __init__(self, every: int) -> None:
        self.rss_bytes: list[int] = []
        self._every = every
        self._results = 0

    def __call__(self, result: Result, /) -> None:
        self._results += 1
        if self._results % self._every == 0:
            self.rss_bytes.append(rss_bytes())


def run_long(model: Path, frames: int, warm_up: int, every: int) -> dict[str, Any]:
    """Many frames of a small picture."""
    classifier = Classifier(load_model(model), threads=1)
    watch = MemoryWatch(every)
    with open(os.devnull, "w") as nowhere, open_source("pattern:160x120@0") as source:
        (summary,) = run_loop(classifier, [source], [JsonLines(nowhere), watch], LoopSettings(max_frames=frames))
    counted = watch.rss_bytes[warm_up // every - 1 :]
    growth_bytes = max(counted) - counted[0]
    return {
        "protocol": {"frames": frames, "warm_up": warm_up, "every": every, "source": summary.source},
        "seconds": summary.seconds,
        "growth_bytes": growth_bytes,
        "goals": [goal("growth of the memory, bytes", growth_bytes, MOST_GROWTH_BYTES)],
        "samples": {"rss_bytes": watch.rss_bytes},
    }


def suffer(model: Path, faults: int, deaths: int) -> dict[str, Any]:
    """One camera, all its faults, and the loop that goes on."""
    classifier = Classifier(load_model(model), threads=1)
    classifier.classify(np.zeros((240, 320, 3), np.uint8))
    kinds = list(islice(cycle(FAULTS), faults))
    with Peer([sys.executable, HERE / "peers" / "faulty_camera.py", *kinds]) as camera:
        before = owned()
        status, rss_at_recovery, results = endure(classifier, camera, faults, deaths)
        after = owned_at_last(before)
        had = camera.ask("faults")["faults"]
    return {
        "protocol": {"by_connection": kinds, "deaths": deaths, "stall_timeout_s": STALL_TIMEOUT_S},
        "happened": had + deaths,
        "results": results,
        "status": asdict(status),
        "before": before._asdict(),
        "after": after._asdict(),
        "goals": [
            goal("faults not recovered from", faults + deaths - status.reconnects, 0),
            goal("threads left behind", after.threads - before.threads, 0),
            goal("descriptors left behind", after.descriptors - before.descriptors, 0),
        ],
        "samples": {"rss_bytes_at_recovery": rss_at_recovery},
    }


def endure(classifier: Classifier, camera: Peer, faults: int, deaths: int) -> tuple[SourceStatus, list[int], int]:
    """How the source did, the memory after each recovery, and the number of results."""
    options = SourceOptions(stall_timeout_s=STALL_TIMEOUT_S)
    stop = threading.Event()
    rss_at_recovery: list[int] = []
    with open_surviving(camera.ready["address"], options, backoff=BACKOFF) as source:
        assert isinstance(source, SurvivingSource)

        def follow() -> None:
            for fault in range(faults + deaths):
                if fault >= faults:
                    die_for_a_moment(camera, source)
                if not within(RECOVERY_DEADLINE_S, partial(has_come_back, source, fault + 1)):
                    break
                rss_at_recovery.append(rss_bytes())
            stop.set()

        follower = threading.Thread(target=follow)
        follower.start()
        (summary,) = run_loop(classifier, [source], [], stop=stop)
        follower.join()
        return source.status, rss_at_recovery, summary.frames


def die_for_a_moment(camera: Peer, source: SurvivingSource) -> None:
    """Until the source has noticed."""
    camera.ask("die")
    within(RECOVERY_DEADLINE_S, lambda: source.status.state == "reconnecting")
    camera.ask("come back")


def has_come_back(source: SurvivingSource, times: int) -> bool:
    return source.status.reconnects >= times


def within(deadline_s: float, true: Callable[[], bool]) -> bool:
    """Waits until it is true; whether it was in time."""
    end_s = time.monotonic() + deadline_s
    while not true():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


class Owned(NamedTuple):
    """What a process has."""

    threads: int
    descriptors: int
    rss_bytes: int


def owned() -> Owned:
    gc.collect()
    return Owned(threading.active_count(), len(os.listdir("/proc/self/fd")), rss_bytes())


def owned_at_last(before: Owned) -> Owned:
    """Threads may take a moment to end."""
    within(LEAVING_DEADLINE_S, lambda: nothing_more(owned(), before))
    return owned()


def nothing_more(now: Owned, before: Owned) -> bool:
    return now.threads <= before.threads and now.descriptors <= before.descriptors


def rss_bytes() -> int:
    """The memory that this process occupies now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def goal(what: str, value: int, most: int) -> dict[str, Any]:
    return {"what": what, "value": value, "target": f"at most {most}", "met": value <= most}


if __name__ == "__main__":
    main()
