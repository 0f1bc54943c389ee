"""Tests that MediaPipe opens edgecnn's files, with labels, normalization and quantization stored as specified."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgecnn.core.images import read_image
from edgecnn.core.precision import Precision
from edgecnn.runtime.inference.classifier import Classifier, load_model

VENV = os.environ.get("EDGECNN_MEDIAPIPE_VENV")
pytestmark = pytest.mark.skipif(
    not VENV, reason="EDGECNN_MEDIAPIPE_VENV is not set: make test creates an environment with mediapipe"
)

SCRIPT = Path(__file__).parent / "mediapipe_top1.py"
SCORE_TOLERANCE = {"int8": 2 / 256, "float32": 0.01}
"""Two steps of the int8 output: MediaPipe has another version of the interpreter, whose kernels round differently."""


def answers_of_mediapipe(model: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
    assert VENV
    result = subprocess.run(
        [Path(VENV) / "bin" / "python", SCRIPT, model, *images],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_mediapipe_gives_the_same_answers(precision: Precision, exported: dict[Precision, Path], digits: Path) -> None:
    images = [image for digit in sorted((digits / "test").iterdir()) for image in sorted(digit.iterdir())[:4]]
    answers = answers_of_mediapipe(exported[precision], images)
    classifier = Classifier(load_model(exported[precision]))
    assert len(answers) == 40
    for path, theirs in zip(images, answers, strict=True):
        image = read_image(path)
        # The image has the size of the input, so that only the models are compared and not the two ways of resizing.
        assert image.shape[:2] == (classifier.preprocess.height, classifier.preprocess.width)
        ours = classifier.classify(image).best
        assert theirs == {
            "path": str(path),
            "label": ours.label,
            "score": pytest.approx(ours.score, abs=SCORE_TOLERANCE[precision]),
        }
