"""Import of data sets from TensorFlow Datasets."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecnn.core.errors import InputError, MissingDependency, UnknownName
from edgecnn.core.import_source import TFDS_PREFIX
from edgecnn.data.image_format import SUFFIXES, image_format
from edgecnn.data.source import Photo, Source, class_folders, parse_split


def read_tfds(name: str, data_dir: Path | None = None) -> Source:
    """Open a data set of TensorFlow Datasets, which is downloaded if necessary.

    The image files are copied as they are stored, without being decoded.

    Args:
        name: `name[/config][:version]`.
        data_dir: Folder in which TensorFlow Datasets keeps its files; its own default if None.

    Returns:
        The data set; the photos are read when it is iterated.

    Raises:
        InputError: The data set cannot be prepared, or is not one of images with one class each.
        MissingDependency: TensorFlow Datasets is not installed.
        UnknownName: There is no data set of this name.
    """
    tfds = _tensorflow_datasets()
    builder = _prepare(tfds, name, data_dir)
    info = builder.info
    image_key, label_key = _image_and_label(tfds, info, name)
    names = list(class_folders(info.features[label_key].names, name).values())

    def photos() -> Iterator[Photo]:
        for split in info.splits:
            examples = builder.as_dataset(
                split=split, shuffle_files=False, decoders={image_key: tfds.decode.SkipDecoding()}
            )
            for number, example in enumerate(tfds.as_numpy(examples)):
                content, label = bytes(example[image_key]), int(example[label_key])
                if label < 0:
                    raise InputError(f"{name} does not publish the labels of its split {split!r}; use another set")
                yield Photo(splits[split], names[label], f"{number:06}{_suffix(content, name)}", content)

    splits = {split: parse_split(split, name) for split in info.splits}
    return Source(
        info.name,
        origin=TFDS_PREFIX + info.full_name,
        sha256=None,
        license=_license(info),
        citation=info.citation.strip() or None,
        count=sum(split.num_examples for split in info.splits.values()),
        photos=photos,
    )


def _tensorflow_datasets() -> Any:
    try:
        import tensorflow_datasets  # noqa: PLC0415 - Optional, and slow to import.
    except ImportError:
        raise MissingDependency("TensorFlow Datasets is not installed: pip install 'edgecnn[tfds]'") from None
    return tensorflow_datasets


def _prepare(tfds: Any, name: str, data_dir: Path | None) -> Any:
    try:
        # It prints to stdout, which is for data.
        with contextlib.redirect_stdout(sys.stderr):
            builder = tfds.builder(name, data_dir=data_dir)
            builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        raise UnknownName(
            "data set of TensorFlow Datasets", name, tfds.list_builders(with_community_datasets=False)
        ) from None
    except Exception as error:
        # A failed download, a wrong checksum, a package that only this set needs: they share no error class.
        raise InputError(f"TensorFlow Datasets could not prepare {name}: {error}") from error
    return builder


def _image_and_label(tfds: Any, info: Any, name: str) -> tuple[str, str]:
    """Return the names of the features that contain the image and its class."""
    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    # If there are several pairs, the publisher says which one to learn from.
    pairs = [(image, label) for image in images for label in labels]
    pair = info.supervised_keys if info.supervised_keys in pairs else pairs[0] if len(pairs) == 1 else None
    if pair is not None:
        return str(pair[0]), str(pair[1])
    raise InputError(
        f"{name} is not a data set of images with one class each: expected one Image and one ClassLabel, got "
        f"{', '.join(sorted(features)) or 'no named features'}"
    )


def _license(info: Any) -> str | None:
    """Return the text of the license, which TensorFlow Datasets stores as `license: "..."`."""
    return getattr(info.redistribution_info, "license", "").strip() or None


def _suffix(content: bytes, name: str) -> str:
    kind = image_format(content)
    if kind is None:
        raise InputError(f"{name} contains an image in an unknown format; expected {', '.join(SUFFIXES)}")
    return SUFFIXES[kind][0]
