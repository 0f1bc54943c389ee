"""What each stage can be told.

Options of the command line, tables of a recipe and the run folder share these models: a default is written once, here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from edgecnn.core.precision import Precision
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.min_recall import MinRecall

STALL_TIMEOUT_S = 2.0
"""A live source that gives no frame for so long is lost."""
LOG_SIZE = "10MB"
"""A log of this size makes way for a new one."""
LOG_KEEP = 5
"""So many of the older logs stay."""
FULL_QUERIES, FULL_SECONDS = 1024, 60.0
"""Minimum samples per model and minimum duration of `edgecnn benchmark`."""
QUICK_QUERIES, QUICK_SECONDS = 128, 10.0
"""Both minimums with `--quick`."""
UNCERTAIN = "score=0.6"
"""When the model is unsure of a frame: below this score."""
UNCERTAIN_SIZE = "500MB"
"""A folder of uncertain frames is held below this size."""


class TrainSettings(Settings):
    """`edgecnn train`."""

    model: str = "efficientnet_lite0"
    alpha: float | None = None
    """Width multiplier of MobileNetV2."""
    weights: str = "auto"
    """`auto` (ImageNet's, where the network has any), `imagenet`, `none`, or a file. Without, everything is trained."""
    height: int | None = Field(default=None, gt=0)
    width: int | None = Field(default=None, gt=0)
    """Input size; the backbone's own where not given."""
    resize: Literal["center_crop", "squash", "letterbox"] = "center_crop"
    crop_fraction: float = Field(default=1.0, gt=0, le=1)
    interpolation: Literal["box_linear", "area", "linear"] = "box_linear"
    epochs: int = Field(default=50, ge=1)
    """At most, for the head, or for the whole network where it starts from nothing; early stopping ends it sooner."""
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    fine_tune_epochs: int = Field(default=0, ge=0)
    """At most, with the last blocks unfrozen; 0 leaves the backbone as it was."""
    fine_tune_learning_rate: float = Field(default=1e-5, gt=0, allow_inf_nan=False)
    unfreeze: Annotated[int, Field(ge=1)] | str = 5
    """What fine-tuning sets free: so many blocks, counted from the output; from this layer on; or `all`."""
    schedule: Literal["plateau", "constant", "cosine"] = "plateau"
    """`plateau` halves the learning rate after three epochs without progress, `cosine` takes it to 0 over `epochs`."""
    warmup_epochs: float = Field(default=0, ge=0, allow_inf_nan=False)
    """How long the learning rate rises to its height, at the start of each phase."""
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    """`sgd` has Nesterov's momentum of 0.9."""
    weight_decay: float = Field(default=0, ge=0, lt=1)
    """Decoupled from the gradient, so that `adam` with it is AdamW; biases and batch normalization are spared."""
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    mixup: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Alpha of the Beta distribution that two photos are blended by, 0 for none; not while the backbone is frozen."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Before the last layer; the network's own where not given."""
    batch_size: int = Field(default=32, ge=1)
    balance: bool = False
    """Weigh photos so that every class counts the same, however many photos it has."""
    monitor: str = "val_loss"
    """What says which epoch is the best, see `edgecnn.training.fitting.monitor`: `val_recall:CLASS`, say."""
    patience: int = Field(default=5, ge=1)
    """Epochs without progress after which a phase ends."""
    augment: AugmentSettings = AugmentSettings()
    """Random changes to photos, wherever the network itself sees them: not for a head on frozen features."""
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    test_fraction: float = Field(default=0.15, ge=0, lt=0.5)
    mixed_precision: bool | None = None
    """float16 arithmetic on float32 weights; where not given, with a GPU."""
    xla: bool | None = None
    """Compile the training step; where not given, with a GPU."""
    seed: int = Field(default=0, ge=0)

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _number_of_blocks(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


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
    """Quantize the float weights afterwards even where the run has quantization-aware ones."""
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
    """A recipe measures briefly unless it asks for more; the command measures in full unless `--quick` is given."""
    threads: int = Field(default=1, ge=1)
    queries: int | None = Field(default=None, ge=1)
    """Minimum samples per model; by default `FULL_QUERIES`, or `QUICK_QUERIES` if `quick`."""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Minimum duration of the measured part; by default `FULL_SECONDS`, or `QUICK_SECONDS` if `quick`."""


class RunSettings(Settings):
    """`edgecnn run` in a recipe: over a video made of the test images."""

    frames: int = Field(default=60, ge=1)
