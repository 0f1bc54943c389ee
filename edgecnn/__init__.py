"""A live classifier from a folder of labeled photos on a small device, in one `.tflite` file.

The device side, for programs of one's own:

    from edgecnn import Classifier, load_model, read_image

    classifier = Classifier(load_model("clothes-int8.tflite"))
    print(classifier.classify(read_image("photo.jpg")).best)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecnn.core.errors import EdgecnnError
    from edgecnn.core.frame import Frame, Prediction, Score
    from edgecnn.core.images import read_image
    from edgecnn.core.model_file.model_file import read_model_file
    from edgecnn.core.preprocess import PreprocessSpec, preprocess
    from edgecnn.runtime.inference.classifier import Classifier, load_model
    from edgecnn.runtime.live.loop import run_loop
    from edgecnn.runtime.sources import open_source

_HOMES = {
    "Classifier": "edgecnn.runtime.inference.classifier",
    "EdgecnnError": "edgecnn.core.errors",
    "Frame": "edgecnn.core.frame",
    "Prediction": "edgecnn.core.frame",
    "PreprocessSpec": "edgecnn.core.preprocess",
    "Score": "edgecnn.core.frame",
    "load_model": "edgecnn.runtime.inference.classifier",
    "open_source": "edgecnn.runtime.sources",
    "preprocess": "edgecnn.core.preprocess",
    "read_image": "edgecnn.core.images",
    "read_model_file": "edgecnn.core.model_file.model_file",
    "run_loop": "edgecnn.runtime.live.loop",
}

__all__ = [
    "Classifier",
    "EdgecnnError",
    "Frame",
    "Prediction",
    "PreprocessSpec",
    "Score",
    "load_model",
    "open_source",
    "preprocess",
    "read_image",
    "read_model_file",
    "run_loop",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `edgecnn --help` need not wait for OpenCV.
    if name not in _HOMES:
        raise AttributeError(f"module 'edgecnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
