from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import accuracy_metrics, metrics_record
from edgecnn.report.accuracy_charts import reliability_chart
from edgecnn.report.charts import Curve, confusion_table, line_chart
from edgecnn.report.markup import Markup, element, join
from edgecnn.report.report import RunSection, render_report

VOID = {"meta"}


class Outline(HTMLParser):
    """Collects text and addresses, and checks that every element is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str | None] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _text(page: str) -> str:
    return " ".join(Outline(page).text)


def _run(**changes: Any) -> RunSection:
    run: dict[str, Any] = {
        "name": "clothes",
        "backbone": "efficientnet_lite0",
        "settings": {"seed": 1, "learning_rate": 1e-3},
        "dataset": {
            "fingerprint": "abc",
            "counts": {"train": {"hat": 20, "shirt": 30}, "test": {"hat": 5, "shirt": 6}},
        },
        "versions": {"edgecnn": "0.1.0"},
        "history": [_epoch("head", 1), _epoch("head", 2), _epoch("fine-tune", 3)],
        "best_epochs": {"head": 2},
        "metrics": {"validation_top1": 0.9},
    }
    return {**run, **changes}  # type: ignore[typeddict-item]


def _epoch(phase: str, epoch: int) -> dict[str, Any]:
    values = {"loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch, "val_loss": 1.2 / epoch, "val_accuracy": 1 - 0.6 / epoch}
    return {"phase": phase, "epoch": epoch, **values, "learning_rate": 1e-3}


def _evaluation(labels: tuple[str, ...] = ("hat", "shirt")) -> dict[str, Any]:
    probabilities = np.eye(len(labels), dtype=np.float32)
    metrics = metrics_record(accuracy_metrics(probabilities, np.arange(len(labels)), LabelMap(labels)))
    paired = {"delta_top1": -0.0025, "ci95": [-0.011, 0.006], "agreement": 0.98, "p_value": 0.75}
    return {**metrics, "baseline": metrics, "paired": paired, "gate": {"max_drop": 1.5, "passed": True}}


def _benchmark(*reasons: str) -> dict[str, Any]:
    stats = dict.fromkeys(("mean_ms", "std_ms", "min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), 8.0)
    stages = {stage: {"n": 256, **stats} for stage in ("preprocess", "invoke", "postprocess", "total")}
    identity = {"sha256": "0", "size_bytes": 4_900_000, "threads": 1}
    return {
        "model": {"name": "clothes-int8", "precision": "int8", **identity},
        "environment": {"cpu": "Cortex-A72", "cores": 4, "governor": None},
        "cold_start_ms": 40.0,
        "stages": stages,
        "valid": not reasons,
        "invalid_reasons": list(reasons),
        "baseline": {
            "name": "clothes-float32",
            "precision": "float32",
            **identity,
            "cold_start_ms": 70.0,
            "stages": stages,
        },
        "speedup_p50": 2.5,
        "size_ratio": 3.7,
    }


def test_a_full_page_is_whole_and_asks_for_nothing_from_elsewhere() -> None:
    page = render_report(_run(), [("clothes-int8", _evaluation())], [_benchmark()])
    outline = Outline(page)
    assert outline.addresses == []
    assert not re.search(r"url\(|@import|<script", page)
    for phrase in ("clothes-float32", "-0.25 (-1.10 to +0.60)", "passed at 1.5", "2.50x", "4.90 MB", "Cortex-A72"):
        assert phrase in _text(page)


def test_an_empty_page_says_which_command_fills_it() -> None:
    text = _text(render_report(_run(history=[]), [], []))
    for command in ("edgecnn train DATA --out RUN", "edgecnn evaluate MODEL DATA", "edgecnn benchmark MODEL"):
        assert command in text


def test_there_is_a_pair_of_charts_for_every_phase() -> None:
    page = render_report(_run(), [], [])
    assert page.count("<svg") == 4
    assert "head, 2 epochs; best: epoch 2" in _text(page)
    assert "fine-tune, 1 epoch" in _text(page)
    # Both charts of the phase that has a best epoch.
    assert page.count('class="mark"') == 2


def test_a_calibrated_start_that_no_epoch_beat_is_named_and_no_epoch_is_marked() -> None:
    page = render_report(_run(history=[_epoch("qat", 1)], best_epochs={"qat": 0}), [], [])
    assert "qat, 1 epoch; best: the calibrated start" in _text(page)
    assert 'class="mark"' not in page


def test_photos_are_counted_by_class_and_split() -> None:
    page = render_report(_run(), [], [])
    assert '<th scope="row">shirt</th><td>30</td><td>6</td>' in page
    assert '<th scope="row">All</th><td>50</td><td>11</td>' in page


def test_counts_by_split_alone_are_enough() -> None:
    page = render_report(_run(dataset={"fingerprint": "abc", "counts": {"train": 50, "test": 11}}), [], [])
    assert '<th scope="row">All</th><td>50</td><td>11</td>' in page


def test_a_measurement_that_does_not_hold_says_why() -> None:
    text = _text(render_report(_run(), [], [_benchmark("other processes kept 3.0 of 4 cores busy")]))
    assert "other processes kept 3.0 of 4 cores busy" in text
    assert "8.00 ms (not valid)" in text


def test_a_thousand_classes_are_not_drawn() -> None:
    labels = tuple(f"class {index}" for index in range(100))
    page = render_report(_run(), [("m", _evaluation(labels))], [])
    assert "too many to draw" in _text(page)
    assert 'class="confusion"' not in page


THRESHOLD = {
    "label": "shirt",
    "min_recall": 0.98,
    "threshold": 0.1875,
    "photos": 40,
    "recall_ci95": [0.8684, 0.9994],
    "recall_before": 0.9,
    "recall": 0.975,
    "precision_before": 0.878,
    "precision": 0.7091,
}


def test_a_threshold_is_told_with_its_price() -> None:
    text = _text(render_report(_run(), [("m", {**_evaluation(), "threshold": THRESHOLD})], []))
    assert "It decides on shirt from a score of 0.1875 on, to find at least 98.0%." in text
    assert "On 40 validation photos of it, that took the recall from 90.0% to 97.5%" in text
    assert "86.8% to 99.9%), and the precision from 87.8% to 70.9%." in text


def _uneven_evaluation() -> dict[str, Any]:
    """Hats are told from shirts and shoes better than these from each other."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6]], np.float32)
    truth = np.array([0, 1, 2, 2])
    return metrics_record(accuracy_metrics(probabilities, truth, LabelMap(("hat", "shirt", "shoe")))) | {
        "baseline": None,
        "paired": None,
        "gate": None,
        "threshold": None,
    }


def test_the_curve_of_the_class_that_is_hardest_to_tell_stands_out() -> None:
    page = render_report(_run(), [("m", _uneven_evaluation())], [])
    assert '<b>ROC</b><span class="key training">shoe</span>' in page
    assert "expected calibration error" in _text(page)


def test_the_curve_of_the_class_that_must_not_be_missed_stands_out_and_its_decisions_are_marked() -> None:
    page = render_report(_run(), [("m", {**_uneven_evaluation(), "threshold": {**THRESHOLD, "label": "hat"}})], [])
    assert '<b>ROC</b><span class="key training">hat</span>' in page
    # All hats, and nothing else, are taken for hats: the corner on the upper left.
    assert '<circle cx="48" cy="14" r="4" class="point">' in page


def test_an_evaluation_that_an_older_edgecnn_saved_is_still_shown() -> None:
    evaluation = _evaluation()
    for key in ("macro_precision", "weighted_f1", "ece", "mce", "brier", "reliability", "roc"):
        del evaluation[key]
    for entry in evaluation["per_class"]:
        del entry["auc_roc"]
    page = render_report(_run(), [("m", evaluation)], [])
    assert "expected calibration error -" in _text(page)
    assert page.count("<svg") == 4


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_every_bin_is_a_bubble_inside_the_diagram(bins: list[tuple[int, float, float]]) -> None:
    chart = reliability_chart([{"n": n, "confidence": x, "accuracy": y} for n, x, y in bins])
    Outline(chart)
    bubbles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert len(bubbles) == len(bins)
    assert all(48 <= float(x) <= 248 and 14 <= float(y) <= 214 for x, y in bubbles)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a & b", "{{7*7}}"])
def test_names_from_the_user_are_text_wherever_they_stand(name: str) -> None:
    run = _run(name=name, settings={name: name}, history=[_epoch(name, 1)])
    benchmark = _benchmark(name)
    benchmark["model"]["name"] = name
    page = render_report(run, [(name, _evaluation((name, "other")))], [benchmark])
    assert "<script>" not in page
    assert "<img" not in page
    assert name in _text(page)


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=50))
def test_any_history_can_be_drawn(values: list[float | None]) -> None:
    chart = line_chart("Loss", range(1, len(values) + 1), [Curve("training", "training", values)])
    Outline(chart)
    assert "nan" not in chart
    assert "inf" not in chart


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_curves_stay_inside_their_picture(values: list[float]) -> None:
    chart = line_chart("Loss", range(len(values)), [Curve("training", "training", values)])
    points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", chart)
    assert len(points) == len(values)
    assert all(48 <= float(x) <= 348 and 12 <= float(y) <= 190 for x, y in points)


def test_a_gap_in_the_values_is_a_gap_in_the_curve() -> None:
    chart = line_chart("Loss", range(4), [Curve("training", "training", [1.0, 2.0, None, 3.0])])
    assert chart.count("M") == 2


def test_a_cell_is_shaded_by_its_share_of_the_row_and_errors_more() -> None:
    table = confusion_table(["hat", "shirt"], [[3, 1], [0, 0]])
    assert re.findall(r"--shade:([\d.]+)", table) == ["0.750", "0.500", "0.000", "0.000"]
    assert "1 of 4 hat decided as shirt" in table


def test_only_markup_goes_into_a_page_as_it_is() -> None:
    assert element("b", "<i>", class_="x", aria_label='"') == '<b class="x" aria-label="&quot;">&lt;i&gt;</b>'
    assert join(Markup("<i>"), "<i>") == "<i>&lt;i&gt;"
    assert element("p", hidden=None) == "<p></p>"
