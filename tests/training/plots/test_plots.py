from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import WriteError
from edgecnn.core.labels import LabelMap
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.training.plots.plots import plot_confusion, plot_history

PNG = b"\x89PNG\r\n\x1a\n"


def epoch(number: int, phase: Phase = "head", loss: float = 1.0) -> EpochRecord:
    return EpochRecord(
        phase=phase,
        epoch=number,
        loss=loss / number,
        accuracy=1 - 0.5 / number,
        val_loss=1.2 * loss / number,
        val_accuracy=1 - 0.6 / number,
        monitored=1.2 * loss / number,
        learning_rate=1e-3,
    )


def picture(path: Path) -> np.ndarray:
    assert path.read_bytes().startswith(PNG)
    decoded = cv2.imread(str(path))
    assert decoded is not None
    assert decoded.std() > 1
    return decoded


@pytest.mark.parametrize(
    "history",
    [
        [epoch(1)],
        [epoch(1), epoch(2), epoch(1, "fine_tune"), epoch(2, "fine_tune"), epoch(1, "qat")],
        [epoch(1), epoch(1, "fine_tune", float("nan")), epoch(2, "fine_tune", float("inf"))],
    ],
    ids=["one epoch", "three phases", "diverged"],
)
def test_learning_curves_are_a_picture(history: list[EpochRecord], tmp_path: Path) -> None:
    plot_history(history, {"head": 1}, tmp_path / "curves.png")
    assert picture(tmp_path / "curves.png").shape[1] > 800


def test_the_marks_stand_at_the_best_epochs_and_the_calibrated_start_has_none(tmp_path: Path) -> None:
    history = [epoch(1), epoch(2), epoch(1, "qat")]
    marks: dict[str, dict[Phase, int]] = {
        "first": {"head": 1},
        "second": {"head": 2},
        "start": {"head": 2, "qat": 0},
        "both": {"head": 2, "qat": 1},
    }
    for name, best in marks.items():
        plot_history(history, best, tmp_path / f"{name}.png")
    first, second, start, both = ((tmp_path / f"{name}.png").read_bytes() for name in marks)
    assert second == start
    assert len({first, second, both}) == 3


def test_a_learning_rate_that_ends_at_nothing_is_drawn(tmp_path: Path) -> None:
    rates = (1e-3, 1e-5, 0.0)
    history = [epoch(n).model_copy(update={"learning_rate": rate}) for n, rate in enumerate(rates, start=1)]
    plot_history(history, {"head": 1}, tmp_path / "curves.png")
    picture(tmp_path / "curves.png")


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_a_confusion_matrix_is_a_picture(classes: int, tmp_path: Path) -> None:
    truth = np.arange(5 * classes) % classes
    decisions = np.where(truth % 7 == 3, 0, truth)
    labels = LabelMap(tuple(f"class {index}" for index in range(classes)))
    plot_confusion(truth, decisions, labels, tmp_path / "confusion.png")
    height, width, _ = picture(tmp_path / "confusion.png").shape
    assert abs(height - width) <= 0.5 * max(height, width)


def test_a_matrix_of_right_decisions_is_dark_on_its_diagonal_and_pale_beside_it(tmp_path: Path) -> None:
    labels = LabelMap(("a", "b", "c"))
    plot_confusion(np.array([0, 1, 2]), np.array([0, 1, 2]), labels, tmp_path / "right.png")
    plot_confusion(np.array([0, 1, 2]), np.array([1, 2, 0]), labels, tmp_path / "wrong.png")
    right, wrong = picture(tmp_path / "right.png"), picture(tmp_path / "wrong.png")
    assert right.shape == wrong.shape
    different = (np.abs(right.astype(int) - wrong) > 100).any(axis=2)
    # Six of the nine cells change, and nothing but cells does.
    assert 0.2 < different.mean() < 0.67


def test_a_matrix_of_very_many_classes_can_still_be_opened(tmp_path: Path) -> None:
    labels = LabelMap(tuple(f"class {index}" for index in range(500)))
    plot_confusion(np.arange(500), np.arange(500), labels, tmp_path / "many.png")
    assert max(picture(tmp_path / "many.png").shape) < 3000


def test_a_class_may_be_called_like_a_formula_or_in_letters_that_no_font_has(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    labels = LabelMap(("$\\frac{1$", "\u732b"))
    plot_confusion(np.array([0, 1]), np.array([0, 1]), labels, tmp_path / "odd.png")
    picture(tmp_path / "odd.png")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_class_without_photos_has_no_recall_and_one_never_decided_for_no_precision(tmp_path: Path) -> None:
    plot_confusion(np.array([0, 0]), np.array([0, 0]), LabelMap(("a", "b")), tmp_path / "alone.png")
    picture(tmp_path / "alone.png")


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "curves.png"
    plot_history([epoch(1)], {"head": 1}, target)
    before = target.read_bytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(WriteError, match="No space left"):
        plot_history([epoch(1), epoch(2)], {"head": 2}, target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
