"""What each stage can be told.

Options of the command line, tables of a recipe and the run folder share these models: a default is written once, here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecnn.core.min_recall import MinRecall
from edgecnn.core.precision import Precision

STALL_TIMEOUT_S = 2.0
"""A live source that gives no frame for so long is lost."""
LOG_SIZE = "10MB"
"""A log of this size makes way for a new one."""
LOG_KEEP = 5
"""So many of the older logs stay."""
UNCERTAIN = "score=0.6"
"""When the model is unsure of a frame: below this score."""
UNCERTAIN_SIZE = "500MB"
"""A folder of uncertain frames is held below this size."""


class Settings(BaseModel):
    """Base of the stages' settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def default(cls, field: str) -> Any:
        """The default of a field, for the option that sets it."""
        return cls.model_fields[field].get_default(call_default_factory=True)


class TrainSettings(Settings):
    """`edgecnn train`."""

    model: str = "efficientnet_lite0"
    alpha: float | None = None
    """Width multiplier of MobileNetV2."""
    weights: str = "imagenet"
    """`imagenet`, `none`, or a file."""
    height: int | None = Field(default=None, gt=0)
    width: int | None = Field(default=None, gt=0)
    """Input size; the backbone's own where not given."""
    resize: Literal["center_crop", "squash", "letterbox"] = "center_crop"
    crop_fraction: float = Field(default=1.0, gt=0, le=1)
    interpolation: Literal["box_linear", "area", "linear"] = "box_linear"
    epochs: int = Field(default=50, ge=1)
    """At most, for the head; early stopping ends it sooner."""
    learning_rate: float = Field(default=1e-3, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    batch_size: int = Field(default=32, ge=1)
    fine_tune_epochs: int = Field(default=0, ge=0)
    """At most, with the last blocks unfrozen; 0 leaves the backbone as it was."""
    unfreeze: int = Field(default=5, ge=1)
    """How many blocks, counted from the output, fine-tuning sets free."""
    fine_tune_learning_rate: float = Field(default=1e-5, gt=0)
    flip: bool = True
    """Mirror photos at random in fine-tuning; off for digits and text."""
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    test_fraction: float = Field(default=0.15, ge=0, lt=0.5)
    seed: int = Field(default=0, ge=0)


class QatSettings(Settings):
    """`edgecnn qat`."""

    epochs: int = Field(default=3, ge=0)
    learning_rate: float = Field(default=1e-5, gt=0)
    batch_size: int = Field(default=32, ge=1)
    calibration_images: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)


class ExportSettings(Settings):
    """`edgecnn export`."""

    precisions: tuple[Precision, ...] = ("float32", "int8")
    calibration_images: int = Field(default=100, ge=1)
    ptq: bool = False
    """Quantise the float weights afterwards even where the run has quantisation-aware ones."""
    min_recall: MinRecall | None = None
    """Of a class that must not be missed: every file gets a threshold for it, picked on the validation photos."""
    seed: int = Field(default=0, ge=0)


class EvaluateSettings(Settings):
    """`edgecnn evaluate` in a recipe."""

    max_drop: float | None = Field(default=None, ge=0)
    """Points of top-1 that int8 may lose against float32."""
    threads: int = Field(default=1, ge=1)


class BenchmarkSettings(Settings):
    """`edgecnn benchmark` in a recipe."""

    quick: bool = True
    threads: int = Field(default=1, ge=1)
    queries: int | None = Field(default=None, ge=1)
    """At least, of each model; where not given 1024, and 128 if `quick`."""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """At least, of the measured part; where not given 60, and 10 if `quick`."""


class RunSettings(Settings):
    """`edgecnn run` in a recipe: over a video made of the test images."""

    frames: int = Field(default=60, ge=1)


def weights_option(value: str) -> Path | str | None:
    """What `--weights` means to a backbone: `imagenet`, None for `none`, else a file's path."""
    return {"imagenet": "imagenet", "none": None}.get(value, Path(value))
