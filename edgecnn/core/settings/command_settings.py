"""Settings of each stage.

Command-line options, recipe tables and the run folder share these models, so that every default and every description
of an option is written once, here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from edgecnn.core.precision import Precision
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.min_recall import MinRecall

# Defaults that the command line shares with the runtime's options. They are here and not beside those options, so that
# `--help` does not have to import OpenCV and an interpreter.
THREADS: Final = 1
"""Number of interpreter threads."""
TOP_K: Final = 3
"""Number of classes that `edgecnn classify` and `edgecnn run` print."""
STALL_TIMEOUT_S: Final = 2.0
"""A live source that delivers no frame for this long counts as lost."""
LOG_SIZE: Final = "10MB"
"""Size at which a log is rotated."""
LOG_KEEP: Final = 5
"""Number of rotated logs that are retained."""
FULL_QUERIES: Final = 1024
FULL_SECONDS: Final = 60.0
"""Minimum queries per model and minimum duration of `edgecnn benchmark`."""
QUICK_QUERIES: Final = 128
QUICK_SECONDS: Final = 10.0
"""Both minimums with `--quick`."""
UNCERTAIN: Final = "score=0.6"
"""When the model counts as unsure of a frame: below this score."""
UNCERTAIN_SIZE: Final = "500MB"
"""Size limit of a folder of uncertain frames."""


class TrainSettings(Settings):
    """Settings of `edgecnn train`."""

    model: str = "efficientnet_lite0"
    """Backbone network; `edgecnn models` lists them."""
    alpha: float | None = None
    """Width multiplier of a MobileNet; 1.0 if not given."""
    # A network without pretrained weights is trained from scratch, in all its layers.
    weights: str = "auto"
    """Initial weights: imagenet, none (train from scratch), a file, or auto (ImageNet's if there are any)."""
    height: int | None = Field(default=None, gt=0)
    """Input height in pixels; the backbone's own if not given."""
    width: int | None = Field(default=None, gt=0)
    """Input width in pixels; the backbone's own if not given."""
    resize: Literal["center_crop", "squash", "letterbox"] = "center_crop"
    """How photos are brought to the input size: center_crop, squash (distorts) or letterbox (pads)."""
    crop_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the largest centered region that center_crop keeps."""
    interpolation: Literal["box_linear", "area", "linear"] = "box_linear"
    """Interpolation of the resize: box_linear is bit-exact on every machine, area and linear are OpenCV's."""
    epochs: int = Field(default=50, ge=1)
    """Maximum number of epochs for the head (or the whole network, from scratch); early stopping may end sooner."""
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Peak learning rate for the head (or for the whole network when training from scratch)."""
    fine_tune_epochs: int = Field(default=0, ge=0)
    """Maximum number of fine-tuning epochs; 0 skips fine-tuning and leaves the backbone unchanged."""
    fine_tune_learning_rate: float = Field(default=1e-5, gt=0, allow_inf_nan=False)
    """Peak learning rate for fine-tuning the unfrozen layers."""
    unfreeze: Annotated[int, Field(ge=1)] | str = 5
    """Layers that fine-tuning unfreezes: the last N blocks, everything from a named layer onwards, or all."""
    # A cosine reaches 0 at the end of the epochs of its phase.
    schedule: Literal["plateau", "constant", "cosine"] = "plateau"
    """Learning rate schedule: plateau (halved after 3 epochs without progress), constant, or cosine (to 0)."""
    warmup_epochs: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Epochs during which the learning rate rises to its peak, at the start of each phase."""
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    """Optimizer; sgd uses Nesterov momentum of 0.9."""
    weight_decay: float = Field(default=0, ge=0, lt=1)
    """Decoupled weight decay (adam becomes AdamW); biases and batch normalization are exempt."""
    label_smoothing: float = Field(default=0, ge=0, lt=1)
    """Share of the target probability that is spread over all classes."""
    mixup: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Blend photos by shares from Beta(MIXUP, MIXUP), 0 for none; not while the backbone is frozen."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout rate before the last layer; the network's own if not given."""
    batch_size: int = Field(default=32, ge=1)
    """Number of photos per step, over all GPUs and workers."""
    balance: bool = False
    """Weight photos so that every class counts the same, however many photos it has."""
    # `edgecnn.training.fitting.monitor` lists all names.
    monitor: str = "val_loss"
    """Metric that decides which epoch is best: val_loss, val_accuracy, val_auc, val_recall:CLASS, ..."""
    patience: int = Field(default=5, ge=1)
    """Epochs without progress after which a phase ends."""
    augment: AugmentSettings = AugmentSettings()
    """Random changes to training photos; they do not apply to a head on frozen features."""
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the training photos set aside for validation, if DATA has no validation split."""
    test_fraction: float = Field(default=0.15, ge=0, lt=0.5)
    """Share of the photos set aside for testing, if DATA is not divided into splits."""
    mixed_precision: bool | None = None
    """float16 arithmetic on float32 weights; on with a GPU if not given."""
    xla: bool | None = None
    """Compile the training step with XLA; on with a GPU if not given."""
    seed: int = Field(default=0, ge=0)
    """Seed; the same one gives the same split, the same order of photos and, on a CPU, the same model."""

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _number_of_blocks(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


class QatSettings(Settings):
    """Settings of `edgecnn qat`."""

    epochs: int = Field(default=3, ge=0)
    """Maximum number of epochs; 0 keeps the calibrated start."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Learning rate; keep it small, the network is already trained."""
    batch_size: int = Field(default=32, ge=1)
    """Number of photos per step."""
    calibration_images: int = Field(default=100, ge=1)
    """Number of training photos that calibrate the quantization ranges."""
    seed: int = Field(default=0, ge=0)
    """Seed; the same one gives the same calibration and, on a CPU, the same model."""


class ExportSettings(Settings):
    """Settings of `edgecnn export`."""

    precisions: tuple[Precision, ...] = ("float32", "int8")
    """Precisions to write; float32 is always written, because the others are compared with it."""
    calibration_images: int = Field(default=100, ge=1)
    """Number of photos that calibrate the quantization ranges."""
    ptq: bool = False
    """Quantize the float weights after training, even if the run has quantization-aware weights."""
    # Every exported file gets a threshold of its own, which is picked on the validation photos.
    min_recall: MinRecall | None = None
    """Decide on CLASS above the score that finds this share of its validation photos, such as pneumonia=0.98."""
    seed: int = Field(default=0, ge=0)
    """Seed; the same one picks the same calibration photos."""


class EvaluateSettings(Settings):
    """Settings of `edgecnn evaluate` in a recipe."""

    max_drop: float | None = Field(default=None, ge=0)
    """Gate: points of top-1 that int8 may lose against float32."""
    threads: int = Field(default=THREADS, ge=1)
    """Number of interpreter threads."""


class BenchmarkSettings(Settings):
    """Settings of `edgecnn benchmark` in a recipe."""

    # The command line measures in full unless `--quick` is given.
    quick: bool = Field(
        default=True,
        description=f"Lower both minimums to {QUICK_QUERIES} queries and {QUICK_SECONDS:g} s, for a first look.",
    )
    threads: int = Field(default=THREADS, ge=1)
    """Number of interpreter threads."""
    queries: int | None = Field(
        default=None,
        ge=1,
        description=f"Minimum number of queries per model; if not given, {FULL_QUERIES} (quick: {QUICK_QUERIES}).",
    )
    seconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Minimum duration of the measured part in seconds; "
        f"if not given, {FULL_SECONDS:g} (quick: {QUICK_SECONDS:g}).",
    )


class RunSettings(Settings):
    """Settings of `edgecnn run` in a recipe: over a video made of the test images."""

    frames: int = Field(default=60, ge=1)
    """Number of frames to classify."""
