"""Settings that are allowed and that most people would regret."""

from __future__ import annotations

from edgecnn.core.settings.command_settings import TrainSettings

_HIGHEST_FINE_TUNING_RATE = 1e-3
_HIGHEST_RATE = {"adam": 0.05, "rmsprop": 0.05, "sgd": 1.0}
"""Above these the first steps of a new layer, drawn at random, make it worse than it was."""


def advice_on(settings: TrainSettings) -> tuple[str, ...]:
    """A line for each setting that is likely a mistake: what it is, what it does, what is usual."""
    lines = []
    if settings.fine_tune_epochs and settings.fine_tune_learning_rate > _HIGHEST_FINE_TUNING_RATE:
        lines.append(
            f"a fine-tuning learning rate of {settings.fine_tune_learning_rate:g} tends to destroy what was "
            f"pretrained; usual are 1e-5 to 1e-4, and at most {_HIGHEST_FINE_TUNING_RATE:g}"
        )
    if settings.learning_rate > _HIGHEST_RATE[settings.optimizer]:
        lines.append(
            f"a learning rate of {settings.learning_rate:g} seldom converges with {settings.optimizer}; "
            f"usual are 1e-3 for adam and 1e-2 for sgd"
        )
    if settings.fine_tune_epochs and settings.fine_tune_learning_rate > settings.learning_rate:
        lines.append(
            f"fine-tuning is to go faster ({settings.fine_tune_learning_rate:g}) than the head before it "
            f"({settings.learning_rate:g}); usual is a tenth of it or less"
        )
    return tuple(lines)
