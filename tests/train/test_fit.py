from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.run_folder import EpochRecord, RunFolder
from edgecnn.train.keras import keras
from edgecnn.train.loop import compile_classifier, fit, make_repeatable, predict, temporary_checkpoint
from edgecnn.train.model import head_model
from edgecnn.train.photos import Labelled
from tests.train.networks import SPEC, pixels

FEATURES, CLASSES = 8, 3
Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def learnable(seed: int) -> Data:
    """Points around the centre of their class."""
    random = np.random.default_rng(seed)
    classes = np.arange(60) % CLASSES
    points = np.eye(CLASSES, FEATURES)[classes] * 3 + random.normal(0, 0.3, (len(classes), FEATURES))
    return points.astype(np.float32), classes


def contrary() -> Data:
    """What is learned from `learnable` makes these worse, epoch by epoch."""
    points, classes = learnable(1)
    return points, (classes + 1) % CLASSES


class Fitting:
    """A head in training, and what came of it."""

    def __init__(self, folder: Path, learning_rate: float = 1e-2) -> None:
        make_repeatable(0)
        self.head = head_model(FEATURES, CLASSES, 0.0)
        compile_classifier(self.head, learning_rate)
        self.folder = folder
        self.history: list[EpochRecord] = []
        self.told: list[tuple[str, int, int, str]] = []

    def __call__(self, validation: Data, epochs: int, **options: Any) -> None:
        options = {"progress": self.progress} | options
        fit(
            self.head,
            learnable(0),
            validation,
            phase="head",
            epochs=epochs,
            checkpoint=self.folder / "best.h5",
            tensorboard=self.folder / "tensorboard",
            history=self.history,
            **options,
        )

    def progress(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.told.append((task, done, total, detail))

    def loss_on(self, data: Data) -> float:
        return float(self.head.evaluate(*data, verbose=0)[0])


def test_training_learns_and_records_every_epoch(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, learning_rate=0.1)
    fitting(learnable(1), epochs=8)
    assert [(epoch.phase, epoch.epoch) for epoch in fitting.history] == [("head", number) for number in range(1, 9)]
    assert fitting.history[-1].val_loss < fitting.history[0].val_loss
    assert fitting.history[-1].val_accuracy == 1.0
    assert any(path.is_file() for path in (tmp_path / "tensorboard" / "head").rglob("events*"))


def test_training_stops_early_and_restores_the_best_epoch(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(contrary(), epochs=50)
    losses = [epoch.val_loss for epoch in fitting.history]
    assert losses == sorted(losses)
    assert len(losses) == 1 + 5
    assert fitting.loss_on(contrary()) == pytest.approx(losses[0], rel=1e-5)


def test_the_learning_rate_is_halved_on_a_plateau(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, learning_rate=1e-2)
    fitting(contrary(), epochs=50)
    rates = [epoch.learning_rate for epoch in fitting.history]
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(5e-3)


def test_the_learning_rate_does_not_fall_below_one_millionth(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, learning_rate=1.5e-6)
    fitting(contrary(), epochs=50)
    assert fitting.history[-1].learning_rate == pytest.approx(1e-6)


def test_the_best_epoch_is_kept_where_training_ends_before_its_patience(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(contrary(), epochs=3)
    assert len(fitting.history) == 3
    assert fitting.loss_on(contrary()) == pytest.approx(fitting.history[0].val_loss, rel=1e-5)


def test_an_epoch_that_beats_nothing_leaves_the_model_as_it_came(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    before = fitting.head.get_weights()
    fitting(learnable(1), epochs=3, beat=0.0)
    assert len(fitting.history) == 3
    for weight, kept in zip(fitting.head.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_a_checkpoint_of_an_earlier_training_is_not_taken_for_this_one(tmp_path: Path) -> None:
    other = head_model(FEATURES, CLASSES, 0.0)
    other.save_weights(tmp_path / "best.h5")
    fitting = Fitting(tmp_path)
    before = fitting.head.get_weights()
    fitting(learnable(1), epochs=1, beat=0.0)
    np.testing.assert_array_equal(fitting.head.get_weights()[0], before[0])


def test_the_best_epoch_can_be_that_of_the_highest_accuracy(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(learnable(1), epochs=4, monitor="val_accuracy", beat=0.2)
    best = max(epoch.val_accuracy for epoch in fitting.history)
    assert fitting.head.evaluate(*learnable(1), verbose=0)[1] == pytest.approx(best)


def test_an_interrupt_leaves_the_best_epoch_so_far_and_goes_on_up(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)

    def interrupt(task: str, done: int, total: int, detail: str = "") -> None:
        if len(fitting.history) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitting(contrary(), epochs=50, progress=interrupt)
    assert fitting.loss_on(contrary()) == pytest.approx(fitting.history[0].val_loss, rel=1e-5)


def test_progress_counts_steps_and_ends_full(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(learnable(1), epochs=4)
    assert {task for task, *_ in fitting.told} == {"training the head"}
    steps = [done for _, done, _, _ in fitting.told]
    assert steps == sorted(steps)
    assert fitting.told[0][1] == 0
    assert fitting.told[-1][1] == fitting.told[-1][2] == 4 * 2
    assert fitting.told[-1][3] == f"validation {fitting.history[-1].val_accuracy:.3f}"


@pytest.mark.parametrize("count", [1, 31, 33])
def test_decisions_are_those_of_the_model_whatever_the_number_of_photos(count: int) -> None:
    image = keras.Input((SPEC.height, SPEC.width, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    photos = Labelled(pixels(count), np.zeros(count, np.int64))
    expected = photos.pixels.mean(axis=(1, 2)).argmax(axis=1)
    np.testing.assert_array_equal(predict(model, photos, SPEC, "test"), expected)


def test_a_temporary_checkpoint_is_gone_after_its_block(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyError), temporary_checkpoint(folder, "head") as path:
        path.write_bytes(b"weights")
        raise KeyError
    assert list(folder.path.iterdir()) == []
