"""The model card `edgecnn.json`: the facts about a model that its weights do not contain."""

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
    # JSON has no NaN: a card that contained one could be written, but never read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetRecord(_Record):
    """Images that a model was trained with."""

    fingerprint: str
    """Hash of the content, class and split of the images; see `Dataset.fingerprint`."""
    counts: dict[str, int]
    """Number of images per split."""


class CalibrationRecord(_Record):
    """Images that calibrated the quantization ranges."""

    fingerprint: str
    """Hash of the content of the images; empty if there were none."""
    count: int
    """Number of images."""
    seed: int
    """Seed of the selection."""


class ClassThreshold(_Record):
    """Decision threshold of a class that must not be missed; it overrides the argmax.

    The rates are those of the class on the validation photos. Those named `before` are without the threshold, with the
    class of the highest score as the decision.
    """

    label: str
    """Name of the class."""
    min_recall: float = Field(gt=0, le=1)
    """Requested minimum share of the class's validation photos that must be recognized."""
    threshold: float = Field(gt=0, le=1)
    """Largest score at which the file recognized at least that share; from this score on the class is the decision."""
    recall: float
    precision: float
    recall_before: float
    precision_before: float
    photos: int = Field(ge=1)
    """Number of validation photos of the class."""
    recall_ci95: tuple[float, float]
    """95 % confidence interval of the recall on new photos."""


class ModelCard(_Record):
    """The content of `edgecnn.json`."""

    format_version: Literal[1] = CARD_VERSION
    name: str
    """Name of the model."""
    backbone: str
    """Name of the network, as in `edgecnn models`."""
    precision: Precision
    quantization: Literal["none", "ptq", "qat"] = "none"
    """Post-training quantization (`ptq`), quantization-aware training (`qat`), or none."""
    preprocess: PreprocessSpec
    labels: tuple[str, ...] = Field(min_length=1)
    """Class names by output index."""
    metrics: dict[str, float] = {}
    """Measured results by name, such as `validation_accuracy`."""
    dataset: DatasetRecord | None = None
    """Training images; None for a network that was exported with its published weights."""
    calibration: CalibrationRecord | None = None
    """Calibration images; None if the precision needs none."""
    parent_sha256: str | None = None
    """Hash of the float32 file that this file was derived from; None for float32."""
    decision: DecisionSettings | None = None
    """Settings for decisions over time; None for the defaults."""
    threshold: ClassThreshold | None = None
    """Threshold of a class that must not be missed; None if there is no such class."""
    versions: dict[str, str] = {}
    """Versions of the packages that produced the file."""
    created: datetime

    @model_validator(mode="after")
    def _threshold_is_for_one_of_several_classes(self) -> Self:
        if self.threshold and (len(self.labels) < 2 or self.labels.count(self.threshold.label) != 1):
            raise ValueError(
                f"the threshold is for {self.threshold.label!r}, which must name exactly one of at least two classes"
            )
        return self


def card_from_json(content: bytes, where: str) -> ModelCard:
    """Parse a model card.

    Args:
        content: JSON document.
        where: Name of the model file, for the error message.

    Returns:
        The card.

    Raises:
        ModelFileError: The document is not JSON or not a valid card.
    """
    try:
        return ModelCard.model_validate_json(content)
    except ValidationError as error:
        raise ModelFileError(f"{where}: the model card is invalid: {first_problem(error)}") from None
