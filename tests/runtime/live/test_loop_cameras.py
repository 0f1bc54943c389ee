"""Several cameras, decisions, regions and pace in one loop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Prediction, PreparedFrame, Score, StageLatency
from edgecnn.core.labels import LabelMap
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.settings.decision import DecisionSettings
from edgecnn.runtime.decision import decision_rule
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.region import parse_region
from edgecnn.runtime.sinks import CameraEvent, Result
from edgecnn.runtime.sources import open_source, open_surviving
from tests.runtime.sources.loopback_camera import LoopbackCamera

LABELS = LabelMap(("dark", "bright"))


class Brightness:
    """A slow stand-in for a classifier that computes the mean of a picture."""

    preprocess = PreprocessSpec(height=24, width=32, resize="squash", mean=(0, 0, 0), std=(1, 1, 1))

    def __init__(self, busy_s: float = 0.0) -> None:
        self._busy_s = busy_s
        self._bright = 0.0
        self.brightnesses: list[float] = []

    def classify(self, image: Image) -> Prediction:
        time.sleep(self._busy_s)
        self._bright = float(image.mean()) / 255
        self.brightnesses.append(self._bright)
        scores = (Score("dark", 0, 1 - self._bright), Score("bright", 1, self._bright))
        return Prediction(tuple(sorted(scores, key=lambda score: -score.score)), StageLatency(0.0, 0.0, 0.0))

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        return self.classify(prepared.pixels)

    def last_probabilities(self) -> NDArray[np.float32]:
        return np.array([1 - self._bright, self._bright], np.float32)


class Recorder:
    """A sink that records the sources of results, and the events."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.events: list[CameraEvent] = []

    def __call__(self, result: Result, /) -> None:
        self.sources.append(result.frame.source)

    def on_event(self, event: CameraEvent, /) -> None:
        self.events.append(event)


def write_grays(folder: Path, grays: list[int]) -> str:
    folder.mkdir()
    for number, gray in enumerate(grays):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), np.full((40, 60, 3), gray, np.uint8))
    return str(folder)


def test_two_cameras_share_one_slow_classifier_fairly() -> None:
    recorder = Recorder()
    with (
        LoopbackCamera() as first,
        LoopbackCamera() as second,
        open_source(first.address) as one,
        open_source(second.address) as two,
    ):
        summaries = run_loop(Brightness(0.05), [one, two], [recorder], LoopSettings(max_frames=40))
    counts = Counter(recorder.sources)
    assert len(counts) == 2
    assert abs(counts[one.name] - counts[two.name]) <= 4
    assert [summary.frames for summary in summaries] == [counts[one.name], counts[two.name]]
    assert all(summary.ended == "max frames" for summary in summaries)


def test_a_lost_camera_does_not_stop_the_other() -> None:
    recorder = Recorder()
    stop = threading.Event()
    with (
        LoopbackCamera() as dying,
        LoopbackCamera() as healthy,
        open_source(dying.address) as one,
        open_source(healthy.address) as two,
    ):
        threading.Timer(0.4, dying.die).start()
        threading.Timer(2.0, stop.set).start()
        lost, fine = run_loop(Brightness(), [one, two], [recorder], stop=stop)
    assert lost.ended == "camera lost"
    assert fine.ended == "stopped"
    assert recorder.sources[-1] == two.name


def test_a_surviving_camera_that_comes_back_is_counted() -> None:
    with LoopbackCamera() as camera, open_surviving(camera.address) as source:
        stop = threading.Event()
        threading.Timer(0.5, camera.die).start()
        threading.Timer(1.0, camera.come_back).start()
        threading.Timer(20.0, stop.set).start()

        def enough(result: Result) -> None:
            if source.status.reconnects and result.frame.number > 5:  # type: ignore[union-attr]
                stop.set()

        (summary,) = run_loop(Brightness(), [source], [enough], stop=stop)
    assert summary.reconnects == 1
    assert summary.ended == "stopped"


def test_files_and_cameras_can_be_mixed_and_files_end_on_their_own(tmp_path: Path) -> None:
    recorder = Recorder()
    folder = write_grays(tmp_path / "photos", [10, 20, 30])
    with LoopbackCamera() as camera, open_source(camera.address) as live, open_source(folder) as files:
        files_summary, live_summary = run_loop(Brightness(), [files, live], [recorder], LoopSettings(max_frames=12))
    assert (files_summary.ended, files_summary.frames) == ("end of source", 3)
    assert (live_summary.ended, live_summary.frames) == ("max frames", 9)


def test_a_change_that_lasts_is_an_event_and_the_end_of_the_run_leaves_the_class(tmp_path: Path) -> None:
    recorder = Recorder()
    instant = DecisionSettings(smoothing="none", enter_after_s=0, leave_after_s=0)
    folder = write_grays(tmp_path / "photos", [10] * 3 + [250] * 3)
    with open_source(folder) as source:
        rule = decision_rule(instant, LABELS)
        run_loop(Brightness(), [source], [recorder], LoopSettings(rule=rule), event_sinks=[recorder])
    kinds = [(sent.event.kind, sent.event.score.label) for sent in recorder.events]
    assert kinds == [("entered", "dark"), ("left", "dark"), ("entered", "bright"), ("left", "bright")]


@pytest.mark.parametrize("gate", [{}, {"every_s": 1e-9}], ids=["prepared ahead", "prepared when due"])
def test_only_the_region_is_classified(gate: dict[str, float], tmp_path: Path) -> None:
    classifier = Brightness()
    half_bright = np.zeros((40, 60, 3), np.uint8)
    half_bright[:, 30:] = 255
    assert cv2.imwrite(str(tmp_path / "half.png"), half_bright)
    with open_source(str(tmp_path)) as source:
        run_loop(classifier, [source], [], LoopSettings(region=parse_region("50%,0%,50%,100%"), **gate))  # type: ignore[arg-type]
    assert classifier.brightnesses == [1.0]


def test_a_picture_that_is_too_small_for_the_region_is_skipped(tmp_path: Path) -> None:
    for number, width in enumerate((60, 30, 60)):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((40, width, 3), np.uint8))
    with open_source(str(tmp_path)) as source:
        (summary,) = run_loop(Brightness(), [source], [], LoopSettings(region=parse_region("20,0,40,40")))
    assert (summary.frames, summary.skipped) == (2, 1)


def test_a_region_that_no_picture_contains_is_rejected(tmp_path: Path) -> None:
    with open_source(write_grays(tmp_path / "photos", [10])) as source, pytest.raises(InputError, match="60x40"):
        run_loop(Brightness(), [source], [], LoopSettings(region=parse_region("20,0,100,40")))


def test_every_limits_the_rate_and_skipped_frames_are_counted() -> None:
    with LoopbackCamera() as camera, open_source(camera.address) as source:
        stop = threading.Event()
        threading.Timer(1.5, stop.set).start()
        (summary,) = run_loop(Brightness(), [source], [], LoopSettings(every_s=0.5), stop=stop)
    assert 1 <= summary.frames <= 4
    assert summary.skipped > summary.frames


def test_a_still_picture_is_not_classified_again(tmp_path: Path) -> None:
    classifier = Brightness()
    with open_source(write_grays(tmp_path / "photos", [50, 50, 50, 200, 200])) as source:
        (summary,) = run_loop(classifier, [source], [], LoopSettings(motion_threshold=1.5))
    assert (summary.frames, summary.skipped) == (2, 3)


@pytest.mark.parametrize("bad", [{"max_frames": 0}, {"every_s": -1.0}])
def test_invalid_settings_are_rejected(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="got"):
        LoopSettings(**bad)  # type: ignore[arg-type]
