"""When a stream of probabilities is a decision: what a model card may carry and a user may set."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgecnn.core.settings.base import Settings

Smoothing = Literal["none", "exponential", "majority"]

LEAVE_PER_ENTER = 0.7
"""The threshold for leaving, as a share of the one for entering, where only that is given."""


class ScoreThresholds(BaseModel):
    """What one class must score, in place of the settings for all classes."""

    # JSON has no NaN: a card with one could be written and never read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enter_score: float = Field(ge=0, le=1)
    leave_score: float | None = Field(default=None, ge=0, le=1)
    """`LEAVE_PER_ENTER` of `enter_score` where not given."""

    @model_validator(mode="after")
    def _leaving_is_no_harder(self) -> ScoreThresholds:
        _check_order(self.enter_score, self.leave_score)
        return self

    @property
    def leave(self) -> float:
        return LEAVE_PER_ENTER * self.enter_score if self.leave_score is None else self.leave_score


class DecisionSettings(Settings):
    """Smoothing, thresholds and minimum times; see `edgecnn.runtime.decision.decide`.

    Scores and margins are probabilities. Whatever is below `enter_score` or `min_margin`, or above `max_entropy`, is
    unknown, unless it is the class already decided on and scores `leave_score`.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    smoothing: Smoothing = "exponential"
    half_life_s: float = Field(default=0.3, gt=0)
    """Of `exponential`: after this time a frame weighs half."""
    window_s: float = Field(default=1.0, gt=0, le=60)
    """Of `majority`: how far back frames have a vote."""
    enter_score: float = Field(default=0.5, ge=0, le=1)
    leave_score: float | None = Field(default=None, ge=0, le=1)
    """`LEAVE_PER_ENTER` of `enter_score` where not given."""
    classes: dict[str, ScoreThresholds] = Field(default_factory=dict)
    """By label; classes that are not named have the two scores above."""
    min_margin: float = Field(default=0.0, ge=0, le=1)
    """Between the best class and the second."""
    max_entropy: float = Field(default=1.0, ge=0, le=1)
    """As a share of the entropy of equal probabilities; 1 accepts everything."""
    enter_after_s: float = Field(default=0.3, ge=0)
    """How long the same answer must last before it is entered."""
    leave_after_s: float = Field(default=0.5, ge=0)
    """How long what was entered must be unseen before it is left for unknown, or for no decision."""
    hold_s: float = Field(default=0.0, ge=0)
    """How long what was entered is held at least."""

    @model_validator(mode="after")
    def _leaving_is_no_harder(self) -> DecisionSettings:
        _check_order(self.enter_score, self.leave_score)
        return self

    def thresholds(self, label: str) -> ScoreThresholds:
        """What the class of this label must score."""
        everyone = ScoreThresholds(enter_score=self.enter_score, leave_score=self.leave_score)
        return self.classes.get(label, everyone)


def _check_order(enter_score: float, leave_score: float | None) -> None:
    if leave_score is not None and leave_score > enter_score:
        raise ValueError(f"leave_score {leave_score:g} is above enter_score {enter_score:g}; lower it or leave it out")
