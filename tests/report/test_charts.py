from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import WriteError
from edgecnn.core.run.run_folder import EpochRecord
from edgecnn.report.charts import write_confusion_matrix, write_learning_curves
from edgecnn.report.confusion_chart import confusion_chart
from edgecnn.report.drawing import CHART_STYLE, DARK, LIGHT, inline_svg
from edgecnn.report.line_chart import Curve, line_chart
from tests.report.epochs import epoch

SVG = "{http://www.w3.org/2000/svg}"


def parsed(path: Path) -> ElementTree.Element:
    """Parse an SVG file and check that it needs nothing from elsewhere and has a white background."""
    content = path.read_text()
    assert "var(" not in content and "href" not in content and "url(" not in content
    root = ElementTree.fromstring(content)
    assert root.tag == f"{SVG}svg"
    background = root.find(f"{SVG}rect")
    assert background is not None and background.get("fill") == "#fff"
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_the_style_uses_only_colors_of_the_palettes() -> None:
    assert set(re.findall(r"var\(--(\w+)\)", CHART_STYLE)) <= LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize(
    ("history", "phases"),
    [
        ([epoch(1)], 1),
        ([epoch(1), epoch(2), epoch(1, "fine_tune"), epoch(2, "fine_tune"), epoch(1, "qat")], 3),
        ([epoch(1), epoch(1, "fine_tune", float("nan")), epoch(2, "fine_tune", float("inf"))], 2),
    ],
    ids=["one epoch", "three phases", "diverged"],
)
def test_learning_curves_have_three_charts_per_phase(history: list[EpochRecord], phases: int, tmp_path: Path) -> None:
    write_learning_curves(history, {"head": 1}, tmp_path / "curves.svg")
    titles = texts(parsed(tmp_path / "curves.svg"))
    assert [titles.count(title) for title in ("Loss", "Accuracy", "Learning rate")] == [phases] * 3
    assert any(title.startswith("head, ") and title.endswith("; best: epoch 1") for title in titles)


def test_best_epochs_are_marked_with_their_value_and_the_calibrated_start_is_not(tmp_path: Path) -> None:
    history = [epoch(1), epoch(2), epoch(1, "qat")]
    write_learning_curves(history, {"head": 2, "qat": 0}, tmp_path / "curves.svg")
    root = parsed(tmp_path / "curves.svg")
    # Loss and accuracy of the head.
    assert len(root.findall(f".//{SVG}line[@class='mark']")) == 2
    assert {"0.6", "0.7"} <= set(texts(root))
    assert "qat, 1 epoch; best: the calibrated start" in texts(root)


@pytest.mark.parametrize("rates", [(1e-3, 1e-5, 0.0), (1e-5, 1e-5, 1e-5), (0.0, 0.0, 0.0)])
def test_any_learning_rate_can_be_drawn(rates: tuple[float, ...], tmp_path: Path) -> None:
    history = [epoch(number).model_copy(update={"learning_rate": rate}) for number, rate in enumerate(rates, start=1)]
    write_learning_curves(history, {"head": 1}, tmp_path / "curves.svg")
    parsed(tmp_path / "curves.svg")


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=50))
def test_any_history_can_be_drawn(values: list[float | None]) -> None:
    chart = inline_svg(line_chart("Loss", range(1, len(values) + 1), [Curve("training", "training", values)], 1))
    ElementTree.fromstring(chart)
    assert "nan" not in chart
    assert "inf" not in chart


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_curves_stay_inside_their_chart(values: list[float]) -> None:
    chart = line_chart("Loss", range(len(values)), [Curve("training", "training", values)]).content
    points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", chart)
    assert len(points) == len(values)
    assert all(48 <= float(x) <= 348 and 32 <= float(y) <= 210 for x, y in points)


def test_a_gap_in_the_values_is_a_gap_in_the_curve() -> None:
    chart = line_chart("Loss", range(4), [Curve("training", "training", [1.0, 2.0, None, 3.0])]).content
    assert chart.count("M") == 2


def test_a_nearly_constant_curve_has_an_axis_in_its_own_scale() -> None:
    chart = line_chart("Learning rate", range(3), [Curve("learning rate", "rate", [1e-3] * 3)]).content
    assert ">0.0015</text>" in chart and ">0.0005</text>" in chart


def test_cells_are_shaded_by_their_share_of_the_row_and_errors_more() -> None:
    chart = confusion_chart(["hat", "shirt"], [[3, 1], [0, 0]]).content
    assert re.findall(r'class="(right|wrong)" fill-opacity="([\d.]+)"', chart) == [
        ("right", "0.750"),
        ("wrong", "0.500"),
    ]
    assert "1 of 4 hat decided as shirt" in chart


def test_recall_is_beside_the_rows_and_precision_below_the_columns(tmp_path: Path) -> None:
    write_confusion_matrix(["a", "b", "c"], [[3, 1, 0], [0, 2, 0], [0, 0, 0]], tmp_path / "matrix.svg")
    shown = texts(parsed(tmp_path / "matrix.svg"))
    # A class without photos has no recall; one that was never decided has no precision.
    rates = [text for text in shown if text.endswith("%") or text == "-"]
    assert rates == ["75%", "100%", "100%", "67%", "-", "-"]


@pytest.mark.parametrize(("classes", "names", "counts"), [(2, 2, 2), (40, 40, 40), (125, 125, 0), (500, 0, 0)])
def test_a_matrix_of_many_classes_drops_counts_then_names(
    classes: int, names: int, counts: int, tmp_path: Path
) -> None:
    labels = [f"class {index}" for index in range(classes)]
    matrix = [[7 if row == column else 0 for column in range(classes)] for row in range(classes)]
    write_confusion_matrix(labels, matrix, tmp_path / "matrix.svg")
    root = parsed(tmp_path / "matrix.svg")
    assert [texts(root).count("class 1"), texts(root).count("7")] == [2 if names else 0, counts]
    assert float(root.get("width", 0)) < 1700


@pytest.mark.parametrize("label", ["$x$", "猫", "<b>", "a\x01b", "a" * 200])
def test_a_class_may_have_any_name(label: str, tmp_path: Path) -> None:
    write_confusion_matrix([label, "other"], [[1, 0], [0, 1]], tmp_path / "matrix.svg")
    parsed(tmp_path / "matrix.svg")


def test_a_chart_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "curves.svg"
    write_learning_curves([epoch(1)], {"head": 1}, target)
    before = target.read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WriteError, match="No space left"):
        write_learning_curves([epoch(1), epoch(2)], {"head": 2}, target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
