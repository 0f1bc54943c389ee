"""`edgecnn preview`: a sheet of randomly changed training photos, to check the settings before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecnn.core.dataset import TRAIN, Example, require_trainable, scan_dataset
from edgecnn.core.errors import InputError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import preprocess
from edgecnn.core.progress import Progress, silent
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.fitting.input_pipeline import classes_of
from edgecnn.training.networks.classifier_model import preprocess_spec
from edgecnn.training.plots.augment_sheet import photos_to_show, write_augment_sheet


def preview_augmentation(
    data: Path, settings: TrainSettings, path: Path, *, progress: Progress = silent
) -> tuple[Example, ...]:
    """Write the sheet of `write_augment_sheet` for some training photos of a data set.

    Args:
        data: Folder of photos.
        settings: Settings of `train`, which prepare and change the photos; their seed chooses the photos.
        path: PNG file to write.
        progress: Receives the number of photos read.

    Returns:
        The photos on the sheet.

    Raises:
        DataError: The folder is no usable data set.
        InputError: `path` does not end in `.png`.
        WriteError: The file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"expected a file name that ends in .png, got {path}; use {path.with_suffix('.png')}")
    spec = preprocess_spec(settings)
    dataset = scan_dataset(data, progress=lambda done, total: progress("reading photos", done, total))
    require_trainable(dataset)
    examples = dataset.splits[TRAIN]
    shown = tuple(examples[index] for index in photos_to_show(classes_of(examples), settings.seed))
    pixels = np.stack([preprocess(read_image(example.path), spec) for example in shown])
    names = [dataset.labels[example.label] for example in shown]
    write_augment_sheet(pixels, settings.augment, settings.seed, path, names=names)
    return shown
