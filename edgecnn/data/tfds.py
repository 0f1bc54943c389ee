"""Data sets of TensorFlow Datasets."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecnn.core.errors import InputError, MissingDependency, UnknownName
from edgecnn.core.import_source import TFDS_PREFIX
from edgecnn.data.image_format import SUFFIXES, image_format
from edgecnn.data.source import Photo, Source, class_folders, split_named


def read_tfds(name: str, data_dir: Path | None = None) -> Source:
    """A data set by its name in TensorFlow Datasets, `name[/config][:version]`, downloaded unless it is there already.

    `data_dir` is where TensorFlow Datasets keeps its files, its own place by default. The image files are written as
    they are stored, without being decoded. Raises `InputError` for a data set that is not of images with one class.
    """
    tfds = _tensorflow_datasets()
    builder = _prepared(tfds, name, data_dir)
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
                    raise InputError(f"{name} keeps the labels of its split {split!r} to itself; expected one each")
                yield Photo(splits[split], names[label], f"{number:06}{_suffix(content, name)}", content)

    splits = {split: split_named(split, name) for split in info.splits}
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


def _prepared(tfds: Any, name: str, data_dir: Path | None) -> Any:
    try:
        # It talks on stdout, which is for data.
        with contextlib.redirect_stdout(sys.stderr):
            builder = tfds.builder(name, data_dir=data_dir)
            builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        raise UnknownName(
            "data set of TensorFlow Datasets", name, tfds.list_builders(with_community_datasets=False)
        ) from None
    except Exception as error:
        # A download, a checksum, a package that this one set needs: it has no common error.
        raise InputError(f"TensorFlow Datasets could not prepare {name}: {error}") from error
    return builder


def _image_and_label(tfds: Any, info: Any, name: str) -> tuple[str, str]:
    """The names of the features that hold the image and its class."""
    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    # Where there are several, the publisher says which pair to learn from.
    pairs = [(image, label) for image in images for label in labels]
    chosen = info.supervised_keys if info.supervised_keys in pairs else pairs[0] if len(pairs) == 1 else None
    if chosen is not None:
        return str(chosen[0]), str(chosen[1])
    raise InputError(
        f"{name} is not a data set of images with one class each: expected one Image and one ClassLabel, got "
        f"{', '.join(sorted(features)) or 'no features by name'}"
    )


def _license(info: Any) -> str | None:
    """The text of the license, which TensorFlow Datasets keeps as `license: "..."`."""
    return getattr(info.redistribution_info, "license", "").strip() or None


def _suffix(content: bytes, name: str) -> str:
    kind = image_format(content)
    if kind is None:
        raise InputError(f"{name} holds an image of a format that is not known here; expected {', '.join(SUFFIXES)}")
    return SUFFIXES[kind][0]
