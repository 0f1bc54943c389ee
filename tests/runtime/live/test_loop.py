from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Prediction, PreparedFrame, Score, StageLatency
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live import tally
from edgecnn.runtime.live.loop import ImageClassifier, LoopSettings, run_loop
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.sinks import JsonLines, Result, Sink, StopRun
from edgecnn.runtime.sources import FrameSource, open_source
from tests.runtime.sources.loopback_camera import (
    HEIGHT_PX,
    WIDTH_PX,
    LoopbackCamera,
    number_in,
    numbered_picture,
    write_numbered_video,
)

DATA = os.environ.get("EDGECNN_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="EDGECNN_DATA is not set: no third-party models to run")


class Unprepared(ABC):
    """Base of the stand-ins for a classifier. Its preprocessing keeps the size of the camera's pictures."""

    preprocess = PreprocessSpec(height=HEIGHT_PX, width=WIDTH_PX, resize="squash", mean=(0, 0, 0), std=(1, 1, 1))

    @abstractmethod
    def classify(self, image: Image) -> Prediction:
        """Return a prediction for a picture."""

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        return self.classify(prepared.pixels)

    def last_probabilities(self) -> NDArray[np.float32]:
        raise AssertionError("no test here makes decisions")


class SlowReader(Unprepared):
    """A stand-in for a slow classifier that reads the number in a picture."""

    def __init__(self, busy_s: float = 0.0) -> None:
        self._busy_s = busy_s

    def classify(self, image: Image) -> Prediction:
        time.sleep(self._busy_s)
        number = number_in(image)
        return Prediction((Score(str(number), number, 1.0),), StageLatency(1.0, self._busy_s * 1e3, 2.0))


def run_one(
    classifier: ImageClassifier,
    source: FrameSource,
    sinks: Sequence[Sink],
    *,
    stop: threading.Event | None = None,
    **settings: Any,
) -> RunSummary:
    (summary,) = run_loop(classifier, [source], sinks, LoopSettings(**settings), stop=stop)
    return summary


def write_folder(folder: Path, images: int) -> str:
    folder.mkdir()
    for number in range(images):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), numbered_picture(number))
    return str(folder)


def feed_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "feed" in thread.name]


def test_every_frame_of_a_video_file_is_classified(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    def keep(result: Result) -> None:
        seen.append((result.frame.number, result.prediction.best.index, result.dropped))

    with open_source(write_numbered_video(tmp_path / "a.avi", 30)) as source:
        summary = run_one(SlowReader(0.005), source, [keep])
    assert seen == [(number, number, 0) for number in range(30)]
    assert (summary.frames, summary.dropped, summary.unreadable, summary.ended) == (30, 0, (), "end of source")
    assert list(summary.stages) == ["capture", "preprocess", "invoke", "postprocess", "total"]
    assert summary.stages["invoke"].p50_ms == pytest.approx(5)
    assert summary.stages["total"].p50_ms == pytest.approx(8)
    assert summary.age is not None and summary.age.n == 30
    assert summary.fps == pytest.approx(30 / summary.seconds)


def test_a_video_file_is_decoded_into_at_most_three_arrays(tmp_path: Path) -> None:
    arrays: list[Image] = []
    with open_source(write_numbered_video(tmp_path / "a.avi", 30)) as source:
        run_one(SlowReader(0.002), source, [lambda result: arrays.append(result.frame.pixels)])
    assert len(arrays) == 30
    assert len({id(array) for array in arrays}) <= 3


def test_frames_are_preprocessed_ahead(tmp_path: Path) -> None:
    threads: set[int] = set()

    class Watching(SlowReader):
        def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
            assert prepared.pixels.shape == (HEIGHT_PX, WIDTH_PX, 3) and prepared.spent_ms > 0
            threads.add(threading.get_ident())
            return super().classify_prepared(prepared)

        def classify(self, image: Image) -> Prediction:
            assert threading.get_ident() in threads, "only classify_prepared calls this"
            return super().classify(image)

    with open_source(write_numbered_video(tmp_path / "a.avi", 5)) as source:
        summary = run_one(Watching(), source, [])
    assert summary.frames == 5


@pytest.mark.parametrize("gate", [{"every_s": 1e-9}, {"motion_threshold": 0.0}], ids=["every", "motion"])
def test_frames_that_may_be_skipped_are_not_preprocessed_ahead(gate: dict[str, float], tmp_path: Path) -> None:
    class Lazy(SlowReader):
        def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
            raise AssertionError("prepared before it was known if the frame is needed")

    with open_source(write_numbered_video(tmp_path / "a.avi", 5)) as source:
        summary = run_one(Lazy(), source, [], **gate)
    assert summary.frames == 5


def test_watchers_are_called_while_no_frame_arrives() -> None:
    calls: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        calls.append(time.monotonic())
        if len(calls) == 5:
            stop.set()

    with LoopbackCamera() as camera, open_source(camera.address) as source:
        camera.stalled.set()
        run_loop(SlowReader(), [source], [], LoopSettings(stall_timeout_s=60), watchers=[watch], stop=stop)
    assert len(calls) == 5


def test_the_hook_is_called_after_each_result_was_delivered(tmp_path: Path) -> None:
    calls: list[str] = []
    with open_source(write_folder(tmp_path / "photos", 2)) as source:
        run_loop(SlowReader(), [source], [lambda _: calls.append("sink")], on_result=lambda: calls.append("hook"))
    assert calls == ["sink", "hook"] * 2


def test_a_slow_classifier_gets_fresh_frames_and_dropped_frames_are_counted() -> None:
    lags: list[int] = []
    numbers: list[int] = []
    with LoopbackCamera() as camera, open_source(camera.address) as source:

        def keep(result: Result) -> None:
            lags.append(camera.number - result.prediction.best.index)
            numbers.append(result.frame.number)
            assert result.frame.number + 1 == len(numbers) + result.dropped

        summary = run_one(SlowReader(0.1), source, [keep], max_frames=25)
    # Without dropping, about 45 pictures would be queued by now; the bound leaves room for a busy machine.
    assert max(lags[-5:]) < 20
    assert summary.ended == "max frames"
    assert summary.frames == 25
    assert summary.dropped == numbers[-1] + 1 - 25 > 10
    assert not feed_threads()


def test_a_camera_that_disconnects_ends_the_run_with_a_reason_without_the_password() -> None:
    lines = io.StringIO()
    with (
        LoopbackCamera(user="admin", password="s3cret") as camera,
        open_source(camera.address.replace("http://", "http://admin:s3cret@")) as source,
    ):
        threading.Timer(0.5, camera.die).start()
        started_s = time.monotonic()
        summary = run_one(SlowReader(), source, [JsonLines(lines)], stall_timeout_s=10)
    assert summary.ended == "camera lost"
    assert summary.frames > 0
    assert "admin:***@127.0.0.1" in summary.reason and "\n" not in summary.reason
    assert "s3cret" not in f"{summary}{lines.getvalue()}"
    assert time.monotonic() - started_s < 30
    assert not feed_threads()


def test_a_camera_that_stalls_ends_the_run() -> None:
    with LoopbackCamera() as camera, open_source(camera.address) as source:
        threading.Timer(0.3, camera.stalled.set).start()
        summary = run_one(SlowReader(), source, [], stall_timeout_s=0.5)
    assert summary.ended == "camera lost"
    assert "no frame for 0.5 s" in summary.reason
    assert not feed_threads()


def test_an_unreadable_image_is_skipped_and_named_in_the_summary(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 5)
    (tmp_path / "photos" / "002.png").write_bytes(b"not a picture")
    with open_source(folder) as source:
        summary = run_one(SlowReader(), source, [])
    assert summary.frames == 4
    assert summary.unreadable == (str(tmp_path / "photos" / "002.png"),)
    assert summary.ended == "end of source"


def test_max_frames_ends_a_run(tmp_path: Path) -> None:
    with open_source(write_folder(tmp_path / "photos", 5)) as source:
        summary = run_one(SlowReader(), source, [], max_frames=2)
        assert (summary.frames, summary.ended) == (2, "max frames")
        with pytest.raises(InputError, match="got 0"):
            run_one(SlowReader(), source, [], max_frames=0)


def test_ctrl_c_ends_a_run_with_a_summary() -> None:
    def interrupt(result: Result) -> None:
        if result.frame.number >= 3:
            signal.raise_signal(signal.SIGINT)

    with LoopbackCamera() as camera, open_source(camera.address) as source:
        summary = run_one(SlowReader(), source, [interrupt])
    assert summary.ended == "interrupted"
    assert summary.frames >= 1
    assert not feed_threads()


def test_a_set_stop_event_ends_a_run() -> None:
    stop = threading.Event()
    with LoopbackCamera() as camera, open_source(camera.address) as source:
        threading.Timer(0.3, stop.set).start()
        summary = run_one(SlowReader(), source, [], stop=stop)
    assert summary.ended == "stopped"


def test_a_sink_can_end_a_run(tmp_path: Path) -> None:
    def close_window(result: Result) -> None:
        raise StopRun("window closed")

    with open_source(write_folder(tmp_path / "photos", 3)) as source:
        summary = run_one(SlowReader(), source, [close_window])
    assert (summary.frames, summary.ended) == (1, "window closed")


def test_a_run_without_a_frame_has_a_summary(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with open_source(str(tmp_path)) as source:
        summary = run_one(SlowReader(), source, [])
    assert (summary.frames, summary.fps, summary.stages, summary.age) == (0, 0.0, {}, None)


def test_a_long_run_keeps_only_the_times_of_its_newest_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slowing(Unprepared):
        calls = 0

        def classify(self, image: Image) -> Prediction:
            self.calls += 1
            return Prediction((Score("a", 0, 1.0),), StageLatency(0.0, float(self.calls), 0.0))

    monkeypatch.setattr(tally, "KEPT_RESULTS", 4)
    with open_source(write_folder(tmp_path / "photos", 10)) as source:
        summary = run_one(Slowing(), source, [])
    assert summary.frames == 10
    invoke = summary.stages["invoke"]
    assert (invoke.n, invoke.min_ms, invoke.max_ms) == (4, 7.0, 10.0)


@needs_data
def test_a_real_model_classifies_the_photos_in_a_folder() -> None:
    assert DATA is not None
    models = Path(DATA) / "third_party_models"
    model = load_model(
        models / "mobilenet_v1_0.25_128_quant.tflite", labels=models / "imagenet_labels.txt", preprocess="squash"
    )
    lines = io.StringIO()
    with open_source(str(Path(DATA) / "photos")) as source:
        summary = run_one(Classifier(model, top_k=3), source, [JsonLines(lines)])
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert summary.frames == len(records) > 0
    assert summary.stages["total"].n == len(records)
    best = {Path(record["source"]).name: record["label"] for record in records}
    # Even the smallest of the models recognizes these two.
    assert (best["cat_720p.jpg"], best["parrot.jpg"]) == ("Egyptian cat", "macaw")
    assert all(len(record["top"]) == 3 for record in records)


@needs_data
def test_the_loop_gives_the_same_predictions_as_single_images(tmp_path: Path) -> None:
    assert DATA is not None
    models = Path(DATA) / "third_party_models"
    model = load_model(
        models / "mobilenet_v1_0.25_128_quant.tflite", labels=models / "imagenet_labels.txt", preprocess="squash"
    )
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    for number, picture in enumerate(noise):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), picture[:, :, ::-1])
    results: list[Result] = []
    with open_source(str(tmp_path)) as source:
        run_one(Classifier(model), source, [results.append])
    classifier = Classifier(model)
    assert [result.prediction.top for result in results] == [classifier.classify(picture).top for picture in noise]
