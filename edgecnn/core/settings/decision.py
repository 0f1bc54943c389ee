"""Settings that turn a stream of probabilities into decisions; a model card or the user may set them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgecnn.core.settings.base import Settings

Smoothing = Literal["none", "exponential", "majority"]

LEAVE_PER_ENTER = 0.7
"""Leave score as a share of the enter score, if only the enter score is given."""


class ScoreThresholds(BaseModel):
    """Scores that one class must reach, instead of those for all classes."""

    # JSON has no NaN: a card that contained one could be written, but never read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enter_score: float = Field(ge=0, le=1)
    """Minimum score to enter the class."""
    leave_score: float | None = Field(default=None, ge=0, le=1)
    """Minimum score to stay in the class; `LEAVE_PER_ENTER` times `enter_score` if not given."""

    @model_validator(mode="after")
    def _leaving_is_no_harder(self) -> ScoreThresholds:
        _check_order(self.enter_score, self.leave_score)
        return self

    @property
    def leave(self) -> float:
        """The leave score, given or derived."""
        return LEAVE_PER_ENTER * self.enter_score if self.leave_score is None else self.leave_score


class DecisionSettings(Settings):
    """Smoothing, thresholds and minimum times; see `edgecnn.runtime.decision.decide`.

    Scores and margins are probabilities. A prediction below `enter_score` or `min_margin`, or above `max_entropy`, is
    unknown, unless it is the class that is already decided on and reaches `leave_score`.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    smoothing: Smoothing = "exponential"
    """Smoothing of predictions over time."""
    half_life_s: float = Field(default=0.3, gt=0)
    """For `exponential`: time in seconds after which the weight of a frame is halved."""
    window_s: float = Field(default=1.0, gt=0, le=60)
    """For `majority`: time in seconds during which a frame votes."""
    enter_score: float = Field(default=0.5, ge=0, le=1)
    """Minimum score to enter a class."""
    leave_score: float | None = Field(default=None, ge=0, le=1)
    """Minimum score to stay in a class; `LEAVE_PER_ENTER` times `enter_score` if not given."""
    classes: dict[str, ScoreThresholds] = Field(default_factory=dict)
    """Scores of individual classes by label; the other classes use the two scores above."""
    min_margin: float = Field(default=0.0, ge=0, le=1)
    """Minimum difference between the scores of the best and the second-best class."""
    max_entropy: float = Field(default=1.0, ge=0, le=1)
    """Maximum entropy, as a share of the entropy of equal probabilities; 1 accepts everything."""
    enter_after_s: float = Field(default=0.3, ge=0)
    """Time in seconds that an answer must last before it is entered."""
    leave_after_s: float = Field(default=0.5, ge=0)
    """Time in seconds that the entered class must be unseen before it is left for unknown, or for no decision."""
    hold_s: float = Field(default=0.0, ge=0)
    """Minimum time in seconds that an entered class is kept."""

    @model_validator(mode="after")
    def _leaving_is_no_harder(self) -> DecisionSettings:
        _check_order(self.enter_score, self.leave_score)
        return self

    def thresholds(self, label: str) -> ScoreThresholds:
        """Return the scores that the class `label` must reach."""
        shared = ScoreThresholds(enter_score=self.enter_score, leave_score=self.leave_score)
        return self.classes.get(label, shared)


def _check_order(enter_score: float, leave_score: float | None) -> None:
    if leave_score is not None and leave_score > enter_score:
        raise ValueError(f"leave_score {leave_score:g} is above enter_score {enter_score:g}; lower it or leave it out")
