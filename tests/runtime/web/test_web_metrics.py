"""Prometheus metrics of the live page."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edgecnn import __name__ as package
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.core.labels import LabelMap
from edgecnn.core.versions import versions_of
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources import Backoff, ImageSource, open_source, open_surviving
from edgecnn.runtime.web import LivePage, open_page
from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.metrics import metrics_registry
from tests.runtime.web.live_run import ColorCamera, color_classifier, live_run, request, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_in(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def scraped(page: LivePage) -> Samples:
    answer = request(page.url, "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=")
    return samples_in(answer.text)


def at(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_the_metrics_agree_with_the_summary_of_the_run(tmp_path: Path) -> None:
    classifier = color_classifier(tmp_path)
    outputs = [OutputStatus("log", 5, 1, 2, "the disk is full; free some space", failing=True)]
    with (
        open_source("pattern:320x240@60") as source,
        open_page(
            "0", token=None, cameras=[source], labels=classifier.labels, model='a "model"', outputs=lambda: outputs
        ) as page,
        live_run(classifier, [source], page, decides=True) as run,
    ):
        camera = source.name
        wait_until(
            lambda: scraped(page).get(("edgecnn_frames_classified_total", frozenset({("camera", camera)})), 0) > 20,
            "results",
        )
        (summary,) = run.stop()
        metrics = scraped(page)
    assert at(metrics, "edgecnn_frames_classified_total", camera=camera) == summary.frames
    assert at(metrics, "edgecnn_frames_dropped_total", camera=camera) == summary.dropped
    assert at(metrics, "edgecnn_bad_pictures_total", camera=camera) == 0
    assert at(metrics, "edgecnn_camera_connected", camera=camera) == 1
    assert at(metrics, "edgecnn_frame_age_seconds_count", camera=camera) == summary.frames
    assert summary.age is not None
    assert at(metrics, "edgecnn_frame_age_seconds_sum", camera=camera) == pytest.approx(
        summary.age.mean_ms * summary.frames / 1e3, rel=1e-3
    )
    for stage in ("preprocess", "invoke", "postprocess"):
        assert at(metrics, "edgecnn_inference_seconds_count", camera=camera, stage=stage) == summary.frames
        assert at(metrics, "edgecnn_inference_seconds_bucket", camera=camera, stage=stage, le="+Inf") == summary.frames
    assert 0 < at(metrics, "edgecnn_last_frame_age_seconds", camera=camera) < 60
    assert 0 <= at(metrics, "edgecnn_seconds_since_result", camera=camera) < 60
    assert at(metrics, "edgecnn_build_info", version=versions_of([package])[package], model='a "model"') == 1
    assert at(metrics, "edgecnn_start_time_seconds") <= time.time()
    assert at(metrics, "process_start_time_seconds") <= at(metrics, "edgecnn_start_time_seconds")
    assert at(metrics, "edgecnn_output_delivered_total", output="log") == 5
    assert at(metrics, "edgecnn_output_dropped_total", output="log") == 1
    assert at(metrics, "edgecnn_output_failed_total", output="log") == 2
    assert at(metrics, "edgecnn_output_failing", output="log") == 1
    assert not any(name.endswith("_created") for name, _ in metrics)


def test_losses_reconnections_and_the_label_are_reported(tmp_path: Path) -> None:
    classifier = color_classifier(tmp_path)
    with (
        ColorCamera((0, 255, 0)) as camera,
        open_surviving(camera.address, backoff=Backoff(0.01, 0.05)) as source,
        open_page("0", token=None, cameras=[source], labels=classifier.labels, model="m", outputs=list) as page,
        live_run(classifier, [source], page, decides=True) as run,
    ):
        name = source.name

        def connected() -> float:
            return at(scraped(page), "edgecnn_camera_connected", camera=name)

        shown = ("edgecnn_current_label", frozenset({("camera", name), ("label", "green")}))
        wait_until(lambda: scraped(page).get(shown) == 1, "the label")
        camera.die()
        wait_until(lambda: connected() == 0, "the loss")
        camera.rgb = (0, 0, 255)
        camera.come_back()
        wait_until(lambda: connected() == 1, "the return")
        wait_until(lambda: ("edgecnn_current_label", shown[1]) not in scraped(page), "another label")
        (summary,) = run.stop()
        metrics = scraped(page)
    assert at(metrics, "edgecnn_current_label", camera=name, label="blue") == 1
    assert at(metrics, "edgecnn_camera_losses_total", camera=name) == 1
    assert at(metrics, "edgecnn_camera_reconnects_total", camera=name) == summary.reconnects == 1


def a_board(camera: str, outputs: list[OutputStatus]) -> Board:
    source = ImageSource([], name=camera)
    return Board([source], labels=LabelMap(("a",)), model="m", outputs=lambda: outputs, quiet_after_s=None)


def a_result(label: str, age_ms: float) -> Result:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "camera", 0, 0.0, 0, 1.0)
    return Result(frame, Prediction((Score(label, 0, 0.5),), StageLatency(1.0, 2.0, 0.5)), age_ms, 0)


@given(st.text(max_size=30), st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_name_and_label_can_be_reported(camera: str, label: str) -> None:
    board = a_board(camera, [OutputStatus(camera, 0, 0, 0, "", failing=False)])
    board.add(a_result(label, 5.0))
    metrics = samples_in(generate_latest(metrics_registry(board)).decode())
    readable = camera.encode(errors="backslashreplace").decode()
    assert at(metrics, "edgecnn_current_label", camera=readable, label=label) == 1


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=50))
def test_a_histogram_counts_each_time_once_and_up_to_its_bound(ages_ms: list[float]) -> None:
    board = a_board("camera", [])
    for age_ms in ages_ms:
        board.add(a_result("a", age_ms))
    counts = dict(board.cameras[0].view().age.counts)
    for bound_s, count in counts.items():
        assert count == sum(age_ms / 1e3 <= bound_s for age_ms in ages_ms)
    assert counts[float("inf")] == len(ages_ms)
    assert board.cameras[0].view().age.sum_s == pytest.approx(sum(ages_ms) / 1e3)
