"""The model card `edgecnn.json`: what a model file says of itself beyond its weights."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgecnn.core.errors import ModelFileError, first_problem
from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.settings.decision import DecisionSettings

CARD_FILE = "edgecnn.json"
CARD_VERSION: Final = 1


class _Record(BaseModel):
    # JSON has no NaN: a card with one could be written and never read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetRecord(_Record):
    """Which images a model was trained with: a fingerprint of their content and the number in each split."""

    fingerprint: str
    counts: dict[str, int]


class CalibrationRecord(_Record):
    """Which images set the quantization ranges."""

    fingerprint: str
    count: int
    seed: int


class ClassThreshold(_Record):
    """From which score on one class is decided on, whatever the others score, because it must not be missed.

    The largest at which the file found at least `min_recall` of the validation photos of the class. The rates are
    those of the class on these photos, `before` with the best class as the decision.
    """

    label: str
    min_recall: float = Field(gt=0, le=1)
    threshold: float = Field(gt=0, le=1)
    recall: float
    precision: float
    recall_before: float
    precision_before: float
    photos: int = Field(ge=1)
    """Validation photos that show the class."""
    recall_ci95: tuple[float, float]
    """Where the recall on new photos lies with 95 % confidence."""


class ModelCard(_Record):
    """The content of `edgecnn.json`. `parent_sha256` is the hash of the float32 file that this one was derived from."""

    format_version: Literal[1] = CARD_VERSION
    name: str
    backbone: str
    precision: Precision
    quantization: Literal["none", "ptq", "qat"] = "none"
    preprocess: PreprocessSpec
    labels: tuple[str, ...] = Field(min_length=1)
    metrics: dict[str, float] = {}
    dataset: DatasetRecord | None = None
    calibration: CalibrationRecord | None = None
    parent_sha256: str | None = None
    decision: DecisionSettings | None = None
    threshold: ClassThreshold | None = None
    versions: dict[str, str] = {}
    created: datetime

    @model_validator(mode="after")
    def _threshold_is_of_one_class_among_others(self) -> Self:
        if self.threshold and (len(self.labels) < 2 or self.labels.count(self.threshold.label) != 1):
            raise ValueError(f"the threshold is of {self.threshold.label!r}, which is not one class among others")
        return self


def card_from_json(content: bytes, where: str) -> ModelCard:
    """Parses a card; `where` names the file in the `ModelFileError` that a bad one raises."""
    try:
        return ModelCard.model_validate_json(content)
    except ValidationError as error:
        raise ModelFileError(f"{where}: the model card does not hold: {first_problem(error)}") from None
