"""Verdict on a verification: the first stage that differs, the probable cause, and a remedy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgecnn.core.errors import VerifyFailed
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.golden import GoldenVector
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.runtime.inference.verify import VECTOR_STAGES, Stage, VectorResult, Verification


@dataclass(frozen=True, slots=True)
class Difference:
    """The first stage with a different result."""

    stage: Stage
    vector: GoldenVector | None
    """First golden vector with the difference; None for the network itself."""
    reason: str
    """Cause and remedy in one line."""


def first_difference(verification: Verification) -> Difference | None:
    """Return the earliest stage that differs, with the first picture that shows it.

    Args:
        verification: Results of all golden vectors.

    Returns:
        The difference; None if all stages agree.
    """
    if not verification.network_intact:
        return Difference("network", None, "its network is not the exported one; copy or export the file again")
    for stage in VECTOR_STAGES:
        for result in verification.vectors:
            if not result.equal[stage]:
                return Difference(stage, result.expected, _reason(stage, result, verification))
    return None


def enforce(verification: Verification) -> None:
    """Raise an error if a stage differs.

    Args:
        verification: Results of all golden vectors.

    Raises:
        VerifyFailed: A stage differs. The message names the first one, its cause and a remedy.
    """
    if difference := first_difference(verification):
        vector = difference.vector
        where = f" (first seen with the {vector.height}x{vector.width} picture)" if vector else ""
        raise VerifyFailed(f"{verification.model.path}: {difference.reason}{where}")


def verification_record(verification: Verification) -> dict[str, Any]:
    """Return the JSON object of a verification.

    Args:
        verification: Results of all golden vectors.

    Returns:
        Values that `json.dumps` accepts.
    """
    difference = first_difference(verification)
    return {
        "model": str(verification.model.path),
        "sha256": sha256_of(verification.model.path),
        "precision": verification.card.precision,
        "family": {
            "expected": verification.expected.model_dump(),
            "here": verification.here.model_dump(),
            "same": verification.same_family,
        },
        "tolerance": verification.tolerance,
        "network_intact": verification.network_intact,
        "vectors": [_vector_record(result) for result in verification.vectors],
        "passed": difference is None,
        "first_difference": difference and _difference_record(difference),
    }


def _vector_record(result: VectorResult) -> dict[str, Any]:
    return {
        **_picture(result.expected),
        "stages": result.equal,
        "max_steps": result.max_steps,
        # JSON has no NaN, which a broken network may output.
        "max_difference": result.max_difference if math.isfinite(result.max_difference) else None,
    }


def _difference_record(difference: Difference) -> dict[str, Any]:
    vector = _picture(difference.vector) if difference.vector else None
    return {"stage": difference.stage, "vector": vector, "reason": difference.reason}


def _picture(vector: GoldenVector) -> dict[str, int]:
    return {"seed": vector.seed, "height": vector.height, "width": vector.width}


def _reason(stage: Stage, result: VectorResult, verification: Verification) -> str:
    """Return cause and remedy for a picture whose first difference is at `stage`."""
    card, model = verification.card, verification.model
    if stage == "frame":
        return f"the synthetic picture differs: numpy {np.__version__} is broken on this machine; reinstall it"
    if stage in ("pixels", "input") and model.preprocess != card.preprocess:
        return "preprocessing differs: it was overridden and is not that of the model card; remove the override"
    if stage == "pixels":
        return (
            f"preprocessing differs: OpenCV {cv2.__version__} on this machine resizes differently than "
            f"{_at_export(card, 'opencv-python')} at export, so the network sees other pixels than in training; "
            f"install that version"
        )
    if stage == "input":
        return (
            f"the input tensor differs: numpy {np.__version__} or OpenCV {cv2.__version__} on this machine normalizes "
            f"differently than {_at_export(card, 'numpy')} or {_at_export(card, 'opencv-python')} at export; install "
            f"those versions"
        )
    if stage == "output":
        return _output_reason(result, verification)
    return "its outputs are ranked or labeled differently; use the labels in the model file, or reinstall edgecnn"


def _output_reason(result: VectorResult, verification: Verification) -> str:
    steps = "" if result.max_steps is None else f", {result.max_steps} steps of its output"
    expected, here = verification.expected, verification.here
    advice = (
        f"{here.package} {here.version} is wrong on this {here.machine}; try another version"
        if verification.same_family
        else f"install {expected.package} {expected.version}, which it was exported with, for a strict comparison"
    )
    return (
        f"the network computes different outputs: probabilities differ by {result.max_difference:.3g}{steps}, allowed "
        f"is {verification.tolerance:g}; {advice}"
    )


def _at_export(card: ModelCard, package: str) -> str:
    """Return the name of a package with its version at export."""
    return f"{package} {card.versions.get(package, 'of another version')}"
