from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.conditions import Watch, conditions_record
from edgecnn.bench.environment import describe_environment
from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import accuracy_metrics
from edgecnn.core.metrics.calibration_error import Bin
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.card import ClassThreshold, DatasetRecord
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.records.benchmark import (
    BENCHMARK_VERSION,
    BaselineRecord,
    BenchmarkRecord,
    ModelIdentity,
    Protocol,
    SampleSeries,
    SamplesRecord,
    Stages,
)
from edgecnn.core.records.evaluation import EvaluationRecord, GateRecord, PairedRecord, accuracy_record
from edgecnn.core.run.run_folder import ExecutionRecord, QatRecord, RunRecord
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings
from edgecnn.report.accuracy_charts import reliability_chart
from edgecnn.report.markup import Markup, element, join, shortened
from edgecnn.report.report import render_report
from tests.report.epochs import epoch
from tests.report.outline import Outline


def _text(page: str) -> str:
    return " ".join(Outline(page).text)


def _run(**changes: Any) -> RunRecord:
    run: dict[str, Any] = {
        "name": "clothes",
        "created": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "status": "complete",
        "backbone": "efficientnet_lite0",
        "settings": TrainSettings(seed=1),
        "preprocess": PreprocessSpec(height=1, width=1, mean=(0,) * 3, std=(1,) * 3),
        "labels": ("hat", "shirt"),
        "data": Path("photos"),
        "dataset": DatasetRecord(fingerprint="abc", counts={"train": 50, "test": 11}),
        "class_counts": {"train": {"hat": 20, "shirt": 30}, "test": {"hat": 5, "shirt": 6}},
        "execution": ExecutionRecord(device="CPU", replicas=1, workers=1, mixed_precision=False, xla=False),
        "versions": {"edgecnn": "0.1.0"},
        "history": (epoch(1), epoch(2), epoch(1, "fine_tune")),
        "metrics": {"validation_top1": 0.9},
    }
    return RunRecord(**{**run, **changes})


def _evaluation(labels: tuple[str, ...] = ("hat", "shirt"), **changes: Any) -> EvaluationRecord:
    probabilities = np.eye(len(labels), dtype=np.float32)
    accuracy = accuracy_record(accuracy_metrics(probabilities, np.arange(len(labels)), LabelMap(labels)))
    paired = PairedRecord(delta_top1=-0.0025, ci95=(-0.011, 0.006), agreement=0.98, p_value=0.75)
    gate = GateRecord(max_drop=1.5, passed=True)
    return EvaluationRecord(**{**dict(accuracy), "baseline": accuracy, "paired": paired, "gate": gate, **changes})


def _benchmark(*reasons: str, name: str = "clothes-int8") -> BenchmarkRecord:
    stats = latency_stats([8.0] * 256)
    stages = Stages(preprocess=stats, invoke=stats, postprocess=stats, total=stats)
    series = SampleSeries(preprocess=(), invoke=(), postprocess=(), total=())
    identity = {"sha256": "0", "size_bytes": 4_900_000, "threads": 1}
    measured = {"peak_rss_bytes": None, "stages": stages, "energy": None, "accuracy": None, "decisions": None}
    return BenchmarkRecord(
        format_version=BENCHMARK_VERSION,
        created="2026-03-01T12:00:00+00:00",
        model=ModelIdentity(name=name, precision="int8", **identity),
        environment=describe_environment().model_copy(update={"cpu": "Cortex-A72"}),
        protocol=Protocol(),
        conditions=conditions_record(Watch(describe_environment(), 1.0).finish()),
        cold_start_ms=40.0,
        **measured,
        sweep=(),
        photos=None,
        paired=None,
        valid=not reasons,
        invalid_reasons=reasons,
        baseline=BaselineRecord(
            name="clothes-float32", precision="float32", **identity, cold_start_ms=70.0, **measured
        ),
        speedup_p50=2.5,
        size_ratio=3.7,
        samples=SamplesRecord(model=series, baseline=series, sweep={}),
    )


def test_a_full_page_is_well_formed_and_self_contained() -> None:
    page = render_report(_run(), {"clothes-int8": _evaluation()}, [_benchmark()])
    outline = Outline(page)
    assert outline.addresses == []
    assert not re.search(r"url\(|@import|<script", page)
    for phrase in ("clothes-float32", "-0.25 (-1.10 to +0.60)", "passed at 1.5", "2.50x", "4.90 MB", "Cortex-A72"):
        assert phrase in _text(page)


def test_an_empty_section_names_the_command_that_fills_it() -> None:
    text = _text(render_report(_run(history=(), class_counts={}), {}, []))
    for command in ("edgecnn train DATA --out RUN", "edgecnn evaluate MODEL DATA", "edgecnn benchmark MODEL"):
        assert command in text


def test_every_phase_has_three_charts_with_its_best_epoch_marked() -> None:
    page = render_report(_run(), {}, [])
    assert page.count("<svg") == 6
    assert "head, 2 epochs; best: epoch 2" in _text(page)
    assert "fine_tune, 1 epoch; best: epoch 1" in _text(page)
    # Loss and accuracy of two phases.
    assert page.count('class="mark"') == 4


def test_the_calibrated_start_is_named_as_best_and_no_epoch_is_marked() -> None:
    qat = QatRecord(settings=QatSettings(), best_epoch=0, val_accuracy=0.9, start_val_accuracy=0.9)
    page = render_report(_run(history=(epoch(1, "qat"),), qat=qat), {}, [])
    assert "qat, 1 epoch; best: the calibrated start" in _text(page)
    assert 'class="mark"' not in page


def test_photos_are_counted_by_class_and_split() -> None:
    page = render_report(_run(), {}, [])
    assert '<th scope="row">shirt</th><td>30</td><td>6</td>' in page
    assert '<th scope="row">All</th><td>50</td><td>11</td>' in page


def test_an_invalid_measurement_is_shown_with_its_reasons() -> None:
    text = _text(render_report(_run(), {}, [_benchmark("other processes kept 3.0 of 4 cores busy")]))
    assert "other processes kept 3.0 of 4 cores busy" in text
    assert "8.00 ms (not valid)" in text


def test_a_matrix_of_very_many_classes_is_not_drawn() -> None:
    labels = tuple(f"class {index}" for index in range(100))
    page = render_report(_run(), {"m": _evaluation(labels)}, [])
    assert "too many to draw" in _text(page)
    assert 'aria-label="Confusion matrix"' not in page


THRESHOLD = ClassThreshold(
    label="shirt",
    min_recall=0.98,
    threshold=0.1875,
    photos=40,
    recall_ci95=(0.8684, 0.9994),
    recall_before=0.9,
    recall=0.975,
    precision_before=0.878,
    precision=0.7091,
)


def test_a_threshold_is_described_with_its_price() -> None:
    text = _text(render_report(_run(), {"m": _evaluation(threshold=THRESHOLD)}, []))
    assert "It decides on shirt if the score is at least 0.1875, to find at least 98.0%." in text
    assert "On the 40 validation photos of this class, that changed the recall from 90.0% to 97.5%" in text
    assert "86.8% to 99.9%, with 95% confidence) and the precision from 87.8% to 70.9%." in text


def _uneven_evaluation(threshold: ClassThreshold | None = None) -> EvaluationRecord:
    """Return an evaluation in which hats are easier to separate from shirts and shoes than these from each other."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6]], np.float32)
    metrics = accuracy_metrics(probabilities, np.array([0, 1, 2, 2]), LabelMap(("hat", "shirt", "shoe")))
    return EvaluationRecord(**dict(accuracy_record(metrics, threshold)), baseline=None, paired=None, gate=None)


def test_the_roc_curve_of_the_class_with_the_smallest_area_is_highlighted() -> None:
    page = render_report(_run(), {"m": _uneven_evaluation()}, [])
    assert '<b>ROC</b><span class="key training">shoe</span>' in page
    assert "expected calibration error" in _text(page)


def test_the_roc_curve_of_the_class_with_a_threshold_is_highlighted_and_its_decisions_are_marked() -> None:
    threshold = THRESHOLD.model_copy(update={"label": "hat"})
    page = render_report(_run(), {"m": _uneven_evaluation(threshold)}, [])
    assert '<b>ROC</b><span class="key training">hat</span>' in page
    # All hats and nothing else are decided as hats: the upper left corner.
    assert '<circle cx="48" cy="14" r="4" class="point">' in page


def test_an_evaluation_saved_by_an_older_edgecnn_is_shown() -> None:
    content = _evaluation().to_json()
    for key in ("macro_precision", "weighted_f1", "ece", "mce", "brier", "reliability", "roc", "threshold"):
        del content[key]
    for entry in content["per_class"]:
        del entry["auc_roc"]
    page = render_report(_run(), {"m": EvaluationRecord.model_validate(content)}, [])
    assert "expected calibration error -" in _text(page)
    # The six charts of two phases, and the confusion matrix.
    assert page.count("<svg") == 7


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_every_bin_is_a_bubble_inside_the_diagram(bins: list[tuple[int, float, float]]) -> None:
    chart = reliability_chart([Bin(n=n, confidence=x, accuracy=y) for n, x, y in bins])
    Outline(chart)
    bubbles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert len(bubbles) == len(bins)
    assert all(48 <= float(x) <= 248 and 14 <= float(y) <= 214 for x, y in bubbles)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a & b", "{{7*7}}"])
def test_names_from_the_user_are_escaped_everywhere(name: str) -> None:
    run = _run(name=name, versions={name: name}, class_counts={name: {name: 1}})
    page = render_report(run, {name: _evaluation((name, "other"))}, [_benchmark(name, name=name)])
    assert "<script>" not in page
    assert "<img" not in page
    assert name in _text(page)


def test_only_markup_is_inserted_without_escaping() -> None:
    assert element("b", "<i>", class_="x", aria_label='"') == '<b class="x" aria-label="&quot;">&lt;i&gt;</b>'
    assert join(Markup("<i>"), "<i>") == "<i>&lt;i&gt;"
    assert element("p", hidden=None) == "<p></p>"


def test_the_middle_of_a_long_text_is_shortened() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefgh", 5) == "ab…gh"
