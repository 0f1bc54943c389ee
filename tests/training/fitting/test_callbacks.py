from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.training.fitting.callbacks import EarlyStopping, HalveOnPlateau, WarmUp
from edgecnn.training.fitting.monitor import Monitor
from edgecnn.training.keras import keras, tf

MONITORS = (Monitor("val_loss", "min"), Monitor("val_accuracy", "max"))
# Repeated values, and some that differ by about the margin of a plateau.
VALUES = st.lists(
    st.sampled_from([0.5, 0.5001, 0.50011, 0.4999, 0.49989, float("nan"), float("inf"), -float("inf")])
    | st.floats(0, 1, width=32),
    min_size=1,
    max_size=25,
)


def model(rate: float = 1e-5) -> Any:
    """Return what callbacks use of a model, at a learning rate that a few halvings take to its limit."""
    variable = tf.Variable(rate, dtype=tf.float32)
    return SimpleNamespace(stop_training=False, optimizer=SimpleNamespace(learning_rate=variable, lr=variable))


def decisions(callback: Any, monitor: Monitor, values: Sequence[float], first_epoch: int = 0) -> list[Any]:
    """Run a callback's epochs; return the learning rate, the logged rate and the stop flag after each."""
    made = []
    for epoch, value in enumerate(values, start=first_epoch):
        logs = {monitor.name: value}
        callback.on_epoch_end(epoch, logs)
        rate = float(callback.model.optimizer.learning_rate.numpy())
        made.append((rate, logs.get("lr"), callback.model.stop_training))
    return made


def started(callback: Any, at: Any) -> Any:
    callback.set_model(at)
    callback.on_train_begin()
    return callback


@given(values=VALUES, monitor=st.sampled_from(MONITORS), patience=st.integers(1, 6))
def test_early_stopping_decides_as_the_callback_of_keras(values: list[float], monitor: Monitor, patience: int) -> None:
    ours = started(EarlyStopping(monitor, patience), model())
    theirs = started(keras.callbacks.EarlyStopping(monitor=monitor.name, mode=monitor.mode, patience=patience), model())
    assert decisions(ours, monitor, values) == decisions(theirs, monitor, values)


@given(values=VALUES, monitor=st.sampled_from(MONITORS))
def test_a_plateau_halves_the_learning_rate_as_the_callback_of_keras(values: list[float], monitor: Monitor) -> None:
    ours = started(HalveOnPlateau(monitor), model())
    theirs = started(
        keras.callbacks.ReduceLROnPlateau(monitor=monitor.name, mode=monitor.mode, factor=0.5, patience=3, min_lr=1e-6),
        model(),
    )
    assert decisions(ours, monitor, values) == decisions(theirs, monitor, values)


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor.mode)
@pytest.mark.parametrize("epochs", [1, 4, 6])
def test_a_restored_callback_decides_as_if_it_had_never_been_interrupted(monitor: Monitor, epochs: int) -> None:
    values = [0.5, 0.5, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    for create in (lambda: EarlyStopping(monitor, 5), lambda: HalveOnPlateau(monitor)):
        whole, first = started(create(), model()), started(create(), model())
        expected = decisions(whole, monitor, values)
        decisions(first, monitor, values[:epochs])
        resumed = create()
        # Versions of edgecnn that used Keras's callbacks have stored a counter that is always 0.
        resumed.restore(first.state | {"cooldown_counter": 0.0})
        assert decisions(started(resumed, first.model), monitor, values[epochs:], epochs) == expected[epochs:]


def test_a_warm_up_depends_only_on_the_number_of_the_step() -> None:
    at = model()
    at.optimizer.iterations = tf.Variable(0)
    rates = []
    for step in range(6):
        at.optimizer.iterations.assign(step)
        # A new callback for every step, as if each had been resumed.
        started(WarmUp(4, 0.1), at).on_train_batch_begin(step)
        rates.append(float(at.optimizer.learning_rate.numpy()))
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
