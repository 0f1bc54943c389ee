"""Warnings about settings that are valid but probably a mistake."""

from __future__ import annotations

from edgecnn.core.settings.command_settings import TrainSettings

_HIGHEST_FINE_TUNING_RATE = 1e-3
_HIGHEST_RATE = {"adam": 0.05, "rmsprop": 0.05, "sgd": 1.0}
"""Above these rates, the first steps of a randomly initialized layer make it worse."""


def advice_on(settings: TrainSettings) -> tuple[str, ...]:
    """Return a warning for each setting that is probably a mistake.

    Args:
        settings: Settings of `edgecnn train`.

    Returns:
        One line per setting: its value, the effect, and the usual values.
    """
    lines = []
    if settings.fine_tune_epochs and settings.fine_tune_learning_rate > _HIGHEST_FINE_TUNING_RATE:
        lines.append(
            f"a fine-tuning learning rate of {settings.fine_tune_learning_rate:g} tends to destroy the "
            f"pretrained weights; usual rates are 1e-5 to 1e-4, and {_HIGHEST_FINE_TUNING_RATE:g} at most"
        )
    if settings.learning_rate > _HIGHEST_RATE[settings.optimizer]:
        lines.append(
            f"a learning rate of {settings.learning_rate:g} seldom converges with {settings.optimizer}; "
            "usual rates are 1e-3 for adam and 1e-2 for sgd"
        )
    if settings.fine_tune_epochs and settings.fine_tune_learning_rate > settings.learning_rate:
        lines.append(
            f"the fine-tuning learning rate ({settings.fine_tune_learning_rate:g}) is higher than that of the head "
            f"({settings.learning_rate:g}); usual is a tenth of it or less"
        )
    return tuple(lines)
