"""Creation of a model file's golden vectors, with the interpreter that checks the file."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.model_file.golden import Golden
from edgecnn.core.model_file.model_file import network_sha256, read_model_file
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.verify import kernels_here, observe

_SIZES_PX = ((480, 640), (641, 481), (131, 97), (1080, 1920))
"""Heights and widths: a camera's, one without an integer scaling factor, a small one, and a large one that is averaged
first."""


def golden_vectors(path: Path) -> Golden:
    """Compute the golden vectors of a model file on this machine.

    Args:
        path: Model file with a card.

    Returns:
        Results of every stage for pictures of several sizes, one of them smaller than the input.
    """
    classifier = Classifier(read_model_file(path))
    sizes_px = (*_SIZES_PX, _smaller_than_input(classifier.preprocess))
    return Golden.model_validate(
        {
            "kernels": kernels_here(classifier.delegate),
            "network_sha256": network_sha256(path),
            "output_dtype": str(classifier.output.dtype),
            "vectors": [observe(classifier, seed, *size_px) for seed, size_px in enumerate(sizes_px)],
        }
    )


def _smaller_than_input(spec: PreprocessSpec) -> tuple[int, int]:
    return max(1, spec.height // 2 - 1), max(1, spec.width // 3)
