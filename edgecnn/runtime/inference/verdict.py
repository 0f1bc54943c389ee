"""What a verification comes to: the first stage that differs, what that means, and what to do about it."""

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
    """The first stage that is not as it was."""

    stage: Stage
    vector: GoldenVector | None
    """The first to show it; None for the network itself."""
    reason: str
    """What it means and what to do about it."""


def first_difference(verification: Verification) -> Difference | None:
    """The earliest stage that differs, and the first picture that shows it; None where nothing does."""
    if not verification.network_intact:
        return Difference("network", None, "its network is not the exported one; copy or export the file again")
    for stage in VECTOR_STAGES:
        for result in verification.vectors:
            if not result.equal[stage]:
                return Difference(stage, result.expected, _reason(stage, result, verification))
    return None


def enforce(verification: Verification) -> None:
    """Raises `VerifyFailed` unless every stage came out as expected."""
    if difference := first_difference(verification):
        seen = difference.vector
        where = f" (seen first with the picture of {seen.height}x{seen.width})" if seen else ""
        raise VerifyFailed(f"{verification.model.path}: {difference.reason}{where}")


def verification_record(verification: Verification) -> dict[str, Any]:
    """The JSON object of `verification`."""
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
        # JSON has no NaN, which a broken network gives.
        "max_difference": result.max_difference if math.isfinite(result.max_difference) else None,
    }


def _difference_record(difference: Difference) -> dict[str, Any]:
    vector = _picture(difference.vector) if difference.vector else None
    return {"stage": difference.stage, "vector": vector, "reason": difference.reason}


def _picture(vector: GoldenVector) -> dict[str, int]:
    return {"seed": vector.seed, "height": vector.height, "width": vector.width}


def _reason(stage: Stage, result: VectorResult, verification: Verification) -> str:
    """What it means that a picture differs from `stage` on, and what to do."""
    card, model = verification.card, verification.model
    if stage == "frame":
        return f"the synthetic picture comes out differently: numpy {np.__version__} is broken here; install it again"
    if stage in ("pixels", "input") and model.preprocess != card.preprocess:
        return "preprocessing differs: it is not that of the model card; leave the file's own as it is"
    if stage == "pixels":
        return (
            f"preprocessing differs: OpenCV {cv2.__version__} resizes otherwise here than "
            f"{_then(card, 'opencv-python')} did at export, so the network sees other pixels than in training; install "
            f"that one"
        )
    if stage == "input":
        return (
            f"the input tensor differs: numpy {np.__version__} or OpenCV {cv2.__version__} normalizes otherwise here "
            f"than {_then(card, 'numpy')} or {_then(card, 'opencv-python')} did at export; install those"
        )
    if stage == "output":
        return _output_reason(result, verification)
    return "its outputs are ranked or named otherwise; use the labels of the file itself, or install edgecnn again"


def _output_reason(result: VectorResult, verification: Verification) -> str:
    steps = "" if result.max_steps is None else f", {result.max_steps} steps of its output"
    expected, here = verification.expected, verification.here
    advice = (
        f"{here.package} {here.version} is wrong on this {here.machine}; try another version of it"
        if verification.same_family
        else f"install {expected.package} {expected.version}, which it was exported with, to compare like with like"
    )
    return (
        f"the network computes otherwise: {result.max_difference:.3g} off in probability{steps}, allowed are "
        f"{verification.tolerance:g}; {advice}"
    )


def _then(card: ModelCard, package: str) -> str:
    """A package and its version at export."""
    return f"{package} {card.versions.get(package, 'of another version')}"
