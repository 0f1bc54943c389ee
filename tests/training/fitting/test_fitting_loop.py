from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.labels import LabelMap
from edgecnn.training.fitting.input_pipeline import Samples, feature_batches, shuffled_features
from edgecnn.training.fitting.journal import Journal
from edgecnn.training.fitting.loop import Plan, fit, make_repeatable, probabilities_of
from edgecnn.training.fitting.monitor import Monitor, parse_monitor
from edgecnn.training.fitting.optimizer import class_weights, compile_classifier, one_hot
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import head_model
from tests.training.networks import SPEC, pixels

FEATURES = 8
LABELS = LabelMap(("a", "b", "c"))
VAL_LOSS = parse_monitor("val_loss", LABELS)
STEPS = 2


def learnable(seed: int, shift: int = 0) -> Samples:
    """Return points around the center of their class, or of another class if `shift` is not 0."""
    random = np.random.default_rng(seed)
    classes = np.arange(60) % len(LABELS)
    points = np.eye(len(LABELS), FEATURES)[classes] * 3 + random.normal(0, 0.3, (len(classes), FEATURES))
    named = (classes + shift) % len(LABELS)
    return Samples(points.astype(np.float32), one_hot(named, LABELS), class_weights(named, LABELS.names, balance=False))


def contrary() -> Samples:
    """Return samples whose loss rises with every epoch of training on `learnable(0)`."""
    return learnable(1, shift=1)


class Fitting:
    """A head, its training and the reported progress."""

    def __init__(
        self, folder: Path, learning_rate: float = 1e-2, monitor: Monitor = VAL_LOSS, *, resume: bool = False
    ) -> None:
        make_repeatable(0)
        self.head = head_model(FEATURES, len(LABELS), 0.0)
        compile_classifier(self.head, keras.optimizers.Adam(learning_rate), LABELS, monitor)
        self.folder = folder
        self.monitor = monitor
        self.journal = Journal(folder / "unfinished", {})
        if resume:
            self.journal.resume()
        else:
            self.journal.begin()
        self.history = self.journal.history
        self.reports: list[tuple[str, int, int, str]] = []

    def __call__(self, validation: Samples, epochs: int, progress: Any = None, **plan: Any) -> None:
        fit(
            self.head,
            lambda step: shuffled_features(learnable(0), 30, seed=0, first_step=step),
            feature_batches(validation),
            Plan("head", epochs, STEPS, self.monitor, **plan),
            self.journal,
            tensorboard=self.folder / "tensorboard",
            progress=progress or self.progress,
        )

    def progress(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.reports.append((task, done, total, detail))

    def loss_on(self, samples: Samples) -> float:
        return float(self.head.evaluate(samples.rows, samples.targets, verbose=0)[0])

    def rates(self) -> list[float]:
        return [epoch.learning_rate for epoch in self.history]


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
    rates = fitting.rates()
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(5e-3)


def test_the_learning_rate_does_not_fall_below_one_millionth(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, learning_rate=1.5e-6)
    fitting(contrary(), epochs=50)
    assert fitting.history[-1].learning_rate == pytest.approx(1e-6)


def test_the_best_epoch_is_kept_if_training_ends_before_its_patience(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(contrary(), epochs=3)
    assert len(fitting.history) == 3
    assert fitting.loss_on(contrary()) == pytest.approx(fitting.history[0].val_loss, rel=1e-5)


def test_a_model_keeps_its_initial_weights_if_no_epoch_beats_the_baseline(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    before = fitting.head.get_weights()
    fitting(learnable(1), epochs=3, baseline_to_beat=0.0)
    assert len(fitting.history) == 3
    for weight, kept in zip(fitting.head.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize("name", ["val_accuracy", "val_auc", "val_f1", "val_recall:b", "val_precision:c", "val_f1:a"])
def test_another_metric_can_decide_which_epoch_is_the_best(name: str, tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, monitor=parse_monitor(name, LABELS))
    fitting(learnable(1), epochs=4, baseline_to_beat=0.0)
    best = max(epoch.monitored for epoch in fitting.history)
    values = fitting.head.evaluate(learnable(1).rows, learnable(1).targets, verbose=0, return_dict=True)
    assert values[name.removeprefix("val_")] == pytest.approx(best)


def test_the_learning_rate_rises_in_the_warm_up_and_stays(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path, learning_rate=1e-2)
    fitting(learnable(1), epochs=4, warmup_steps=2 * STEPS, plateau=False)
    assert fitting.rates() == pytest.approx([5e-3, 1e-2, 1e-2, 1e-2])


def test_without_a_plateau_the_learning_rate_stays(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(contrary(), epochs=50, plateau=False)
    assert fitting.rates() == pytest.approx([1e-2] * 6)


def test_patience_is_the_number_of_epochs_without_progress(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(contrary(), epochs=50, patience=2)
    assert len(fitting.history) == 1 + 2


def test_an_interrupt_leaves_the_best_epoch_so_far_and_is_raised(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)

    def interrupt(task: str, done: int, total: int, detail: str = "") -> None:
        if len(fitting.history) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitting(contrary(), epochs=50, progress=interrupt)
    assert fitting.loss_on(contrary()) == pytest.approx(fitting.history[0].val_loss, rel=1e-5)


@pytest.mark.parametrize("epochs", [1, 2, 4, 6])
def test_a_resumed_phase_ends_as_an_uninterrupted_one(epochs: int, tmp_path: Path) -> None:
    # The rate rises for three epochs and falls on a plateau, and the phase ends early. The warm-up rounds its rates,
    # so that the peak cannot be derived from them.
    plan: dict[str, Any] = {"warmup_steps": 3 * STEPS, "patience": 7, "epochs": 50}
    uninterrupted = Fitting(tmp_path / "uninterrupted", learning_rate=0.1)
    uninterrupted(contrary(), **plan)
    assert len(set(uninterrupted.rates())) > 3

    def interrupt(task: str, done: int, total: int, detail: str = "") -> None:
        if done == epochs * STEPS and not detail:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Fitting(tmp_path / "run", learning_rate=0.1)(contrary(), progress=interrupt, **plan)
    resumed = Fitting(tmp_path / "run", learning_rate=0.1, resume=True)
    assert len(resumed.history) == epochs
    resumed(contrary(), **plan)
    assert resumed.history == uninterrupted.history
    for one, other in zip(resumed.head.get_weights(), uninterrupted.head.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_progress_counts_steps_up_to_the_total(tmp_path: Path) -> None:
    fitting = Fitting(tmp_path)
    fitting(learnable(1), epochs=4)
    assert {task for task, *_ in fitting.reports} == {"training the head"}
    steps = [done for _, done, _, _ in fitting.reports]
    assert steps == sorted(steps)
    assert fitting.reports[0][1] == 0
    assert fitting.reports[-1][1] == fitting.reports[-1][2] == 4 * 2
    last = fitting.history[-1]
    assert fitting.reports[-1][3] == f"validation {last.val_accuracy:.3f}, loss {last.val_loss:.3f}"


@pytest.mark.parametrize("count", [1, 31, 33])
def test_probabilities_equal_those_of_the_model_for_any_number_of_photos(count: int) -> None:
    image = keras.Input((SPEC.height, SPEC.width, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    photos = pixels(count)
    expected = (photos.mean(axis=(1, 2)) - 127) / 128
    np.testing.assert_allclose(probabilities_of(model, photos, SPEC, "test"), expected, atol=1e-5)
