"""Statistics of a run in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.figures import CameraView, Distribution


def metrics_registry(board: Board) -> CollectorRegistry:
    """Create a registry with the metrics of a run and of this process.

    Args:
        board: State of the run.

    Returns:
        The registry, which is independent of the global one.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(BoardCollector(board))
    return registry


class BoardCollector(Collector):
    """Collector that reads the board whenever the metrics are requested."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        board = self._board
        build = {"version": board.version, "model": _text(board.model)}
        yield InfoMetricFamily("edgecnn_build", "Version of edgecnn and name of the model.", build)
        yield GaugeMetricFamily("edgecnn_start_time_seconds", "Start of this run, in Unix time.", board.started_at)
        yield from _camera_metrics([camera.view() for camera in board.cameras])
        yield from _output_metrics(board.outputs())


def _camera_metrics(views: Sequence[CameraView]) -> Iterator[Metric]:
    yield from _camera_counters(views)
    yield _gauge(
        "edgecnn_camera_connected",
        "1 if the camera is connected, 0 while it is lost.",
        ((view, float(view.status is None or view.status.state == "connected")) for view in views),
    )
    yield _gauge(
        "edgecnn_last_frame_age_seconds",
        "Time from the complete picture to its result, for the last result.",
        ((view, view.latest.age_ms / 1e3) for view in views if view.latest),
    )
    yield _gauge(
        "edgecnn_seconds_since_result",
        "Time since the camera's last result.",
        ((view, view.since_result_s) for view in views if view.since_result_s is not None),
    )
    yield _labels(views)
    ages = HistogramMetricFamily(
        "edgecnn_frame_age_seconds", "Time from the complete picture to its result.", labels=["camera"]
    )
    stages = HistogramMetricFamily(
        "edgecnn_inference_seconds", "Time spent on a picture, by stage.", labels=["camera", "stage"]
    )
    for view in views:
        _add(ages, [_text(view.name)], view.age)
        for stage, spent in view.stages.items():
            _add(stages, [_text(view.name), stage], spent)
    yield ages
    yield stages


def _camera_counters(views: Sequence[CameraView]) -> Iterator[Metric]:
    counters = {
        "edgecnn_frames_classified": ("Number of results.", [view.frames for view in views]),
        "edgecnn_frames_dropped": ("Pictures dropped in favor of newer ones.", [view.dropped for view in views]),
        "edgecnn_bad_pictures": ("Pictures that were truncated or corrupted.", [view.bad_pictures for view in views]),
        "edgecnn_camera_losses": (
            "Number of times the camera was lost.",
            [view.status.losses if view.status else 0 for view in views],
        ),
        "edgecnn_camera_reconnects": (
            "Number of times the camera came back.",
            [view.status.reconnects if view.status else 0 for view in views],
        ),
    }
    for name, (meaning, counts) in counters.items():
        counter = CounterMetricFamily(name, meaning, labels=["camera"])
        for view, count in zip(views, counts, strict=True):
            counter.add_metric([_text(view.name)], count)
        yield counter


def _output_metrics(outputs: Sequence[OutputStatus]) -> Iterator[Metric]:
    counters = {
        "edgecnn_output_delivered": ("Results and events delivered.", [output.delivered for output in outputs]),
        "edgecnn_output_dropped": (
            "Results and events dropped in favor of newer ones.",
            [output.dropped for output in outputs],
        ),
        "edgecnn_output_failed": (
            "Results and events that could not be delivered.",
            [output.failed for output in outputs],
        ),
    }
    for name, (meaning, counts) in counters.items():
        counter = CounterMetricFamily(name, meaning, labels=["output"])
        for output, count in zip(outputs, counts, strict=True):
            counter.add_metric([_text(output.name)], count)
        yield counter
    failing = GaugeMetricFamily("edgecnn_output_failing", "1 if the last delivery failed.", labels=["output"])
    for output in outputs:
        failing.add_metric([_text(output.name)], float(output.failing))
    yield failing


def _gauge(name: str, meaning: str, values: Iterable[tuple[CameraView, float]]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, meaning, labels=["camera"])
    for view, value in values:
        gauge.add_metric([_text(view.name)], value)
    return gauge


def _labels(views: Sequence[CameraView]) -> GaugeMetricFamily:
    labels = GaugeMetricFamily(
        "edgecnn_current_label",
        "1 for the current decision, or for the best class if no decisions are made.",
        labels=["camera", "label"],
    )
    for view in views:
        label = None if view.latest is None else _current_label(view.latest)
        if label is not None:
            labels.add_metric([_text(view.name), _text(label)], 1)
    return labels


def _current_label(result: Result) -> str | None:
    if result.decision is None:
        return result.prediction.best.label
    return None if result.decision.current is None else result.decision.current.label


def _add(family: HistogramMetricFamily, labels: list[str], times: Distribution) -> None:
    family.add_metric(labels, [(_bound(bound_s), count) for bound_s, count in times.counts], times.sum_s)


def _bound(bound_s: float) -> str:
    return "+Inf" if bound_s == float("inf") else str(bound_s)


def _text(name: str) -> str:
    """Escape what UTF-8 cannot encode: the name of a file may be arbitrary bytes."""
    return name.encode(errors="backslashreplace").decode()
