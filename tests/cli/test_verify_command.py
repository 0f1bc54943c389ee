from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn.core.model_file.golden import GoldenVector
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.runtime.inference.verify import VECTOR_STAGES
from tests.cli.commands import json_of, refusal, run_apart, run_here
from tests.tampered import with_vectors

RECORD = {
    *("model", "sha256", "precision", "family", "tolerance", "network_intact", "vectors", "passed"),
    "first_difference",
}
VECTOR = {"seed", "height", "width", "stages", "max_steps", "max_difference"}
KERNELS = {"package", "version", "delegate", "machine"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_that_was_exported_on_this_machine_passes(precision: Precision, exported: dict[Precision, Path]) -> None:
    outcome = run_here("verify", exported[precision], "--threads", 2)
    assert outcome.status == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("exported with ai-edge-litert ") and "; here ai-edge-litert " in lines[0]
    assert lines[-1] == "passed: bit-identical, from the picture to the probabilities"
    assert sum("1080x1920" in line for line in lines) == 1
    assert "DIFFERS" not in outcome.stdout


def test_the_record_is_one_object(exported: dict[Precision, Path]) -> None:
    record = json_of("verify", exported["int8"])
    assert set(record) == RECORD
    assert set(record["family"]) == {"expected", "here", "same"}
    assert set(record["family"]["expected"]) == set(record["family"]["here"]) == KERNELS
    assert [set(vector) for vector in record["vectors"]] == [VECTOR] * 5
    assert [list(vector["stages"]) for vector in record["vectors"]] == [list(VECTOR_STAGES)] * 5
    assert (record["model"], record["sha256"]) == (str(exported["int8"]), sha256_of(exported["int8"]))
    assert (record["passed"], record["first_difference"]) == (True, None)


@pytest.fixture
def other_pixels(exported: dict[Precision, Path], tmp_path: Path) -> Path:
    """Return a model file whose golden vectors expect pixels that no machine computes."""

    def change(vector: GoldenVector) -> GoldenVector:
        return vector.model_copy(update={"pixels_sha256": "0" * 64})

    return with_vectors(exported["int8"], tmp_path / "m.tflite", change)


def test_a_difference_is_an_error_after_the_table(other_pixels: Path) -> None:
    outcome = run_apart("verify", other_pixels)
    assert outcome.status == 1
    assert outcome.stdout.count("DIFFERS") == 1 and "passed" not in outcome.stdout
    (line,) = outcome.errors
    assert line.startswith(f"error: {other_pixels}: preprocessing differs: OpenCV ")
    assert line.endswith("(first seen with the 641x481 picture)")


def test_a_difference_is_an_error_after_the_record(other_pixels: Path) -> None:
    outcome = run_apart("verify", other_pixels, "--json")
    assert outcome.status == 1
    record = json.loads(outcome.stdout)
    assert set(record) == RECORD
    assert record["passed"] is False
    difference = record["first_difference"]
    assert set(difference) == {"stage", "vector", "reason"}
    assert (difference["stage"], difference["vector"]) == ("pixels", {"seed": 1, "height": 641, "width": 481})
    assert difference["reason"] in outcome.errors[0]


def test_a_file_without_golden_vectors_is_refused(color_model: Path) -> None:
    expected = f"{color_model} has no golden vectors to verify with; export it again with this edgecnn"
    assert refusal("verify", color_model) == expected


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal("verify", tmp_path / "absent.tflite") == f"no such model file: {tmp_path}/absent.tflite"
