from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import ModelFileError, VerifyFailed
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.golden import Golden, GoldenVector, Ranked, decode_output, encode_output, synthetic_frame
from edgecnn.core.model_file.model_file import ModelFile, append_associated_files, read_model_file
from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.core.preprocess import preprocess
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.tensors import dequantize
from edgecnn.runtime.inference.threshold import ranked
from edgecnn.runtime.inference.verdict import Difference, enforce, first_difference, verification_record
from edgecnn.runtime.inference.verify import VECTOR_STAGES, Stage, Verification, kernels_here, observe, verify
from edgecnn.training.tflite.golden_vectors import golden_vectors
from tests.pixel_model import SCALE, ZERO_POINT, with_threshold, write_pixel_model
from tests.tampered import flatbuffer_of, golden_of, with_golden, with_vectors

OLDER = {"package": "ai-edge-litert", "version": "1.0.0", "machine": "x86_64"}
ON_ANOTHER_PROCESSOR = kernels_here(None).model_copy(update={"machine": "riscv64"}).model_dump()


def verified(path: Path) -> Verification:
    return verify(read_model_file(path))


def difference_of(path: Path | ModelFile) -> Difference:
    """Return the first difference of a verification, after checking the error message and the JSON record."""
    verification = verify(path if isinstance(path, ModelFile) else read_model_file(path))
    difference = first_difference(verification)
    assert difference is not None
    with pytest.raises(VerifyFailed) as caught:
        enforce(verification)
    assert difference.reason in str(caught.value) and str(verification.model.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    record = json.loads(json.dumps(verification_record(verification), allow_nan=False))
    assert (record["passed"], record["first_difference"]["stage"]) == (False, difference.stage)
    return difference


def changes(**fields: Any) -> Callable[[GoldenVector], GoldenVector]:
    return lambda vector: vector.model_copy(update=fields)


def moved(by: float, dtype: str) -> Callable[[GoldenVector], GoldenVector]:
    """Shift the expected first output by an amount, towards the middle of its range."""

    def change(vector: GoldenVector) -> GoldenVector:
        stored = decode_output(vector.output, dtype)
        middle = 0.5 if dtype == "float32" else 128
        stored[0] += by if stored[0] < middle else -by
        return vector.model_copy(update={"output": encode_output(stored)})

    return change


@pytest.fixture(scope="module", params=["uint8", "int8", "float32"])
def pixels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose output is its input, with golden vectors."""
    path = write_pixel_model(tmp_path_factory.mktemp("models"), 6, 5, request.param)
    return with_golden(path, path, golden_vectors(path))


# ---- no difference


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_exported_on_this_machine_verifies_on_it(
    precision: Precision, threads: int, exported: dict[Precision, Path]
) -> None:
    verification = verify(read_model_file(exported[precision]), threads=threads)
    enforce(verification)
    assert verification.same_family and verification.network_intact
    assert [result.equal for result in verification.vectors] == [dict.fromkeys(VECTOR_STAGES, True)] * 5
    assert [result.max_difference for result in verification.vectors] == [0] * 5
    steps = 0 if precision == "int8" else None
    assert [result.max_steps for result in verification.vectors] == [steps] * 5


def test_outputs_of_every_type_are_recorded_as_stored(pixels: Path) -> None:
    golden, model = golden_of(pixels), read_model_file(pixels)
    assert model.preprocess is not None
    pixels_seen = preprocess(synthetic_frame(1, 641, 481), model.preprocess).ravel().astype(float)
    stored = {"uint8": pixels_seen, "int8": pixels_seen - 128, "float32": (pixels_seen - ZERO_POINT) * SCALE}[
        golden.output_dtype
    ]
    assert decode_output(golden.vectors[1].output, golden.output_dtype).tolist() == stored.tolist()
    assert observe(Classifier(model), 1, 641, 481) == golden.vectors[1]
    enforce(verified(pixels))


def test_the_record_names_the_kernels(exported: dict[Precision, Path]) -> None:
    record = verification_record(verified(exported["int8"]))
    kernels = kernels_here(None).model_dump()
    assert record["family"] == {"expected": kernels, "here": kernels, "same": True}
    assert (record["passed"], record["first_difference"], record["tolerance"]) == (True, None, 0)


# ---- differences by stage


@pytest.mark.parametrize(
    ("field", "stage", "message"),
    [
        ("frame_sha256", "frame", "numpy .* is broken on this machine"),
        ("pixels_sha256", "pixels", "OpenCV .* resizes differently than opencv-python .* at export"),
        ("input_sha256", "input", "the input tensor differs: .* normalizes differently than numpy .* at export"),
    ],
)
def test_a_different_hash_is_reported_at_its_stage(
    field: str, stage: Stage, message: str, exported: dict[Precision, Path], tmp_path: Path
) -> None:
    path = with_vectors(exported["float32"], tmp_path / "m.tflite", changes(**{field: "0" * 64}))
    difference = difference_of(path)
    assert difference.stage == stage
    assert difference.vector is not None and (difference.vector.height, difference.vector.width) == (641, 481)
    with pytest.raises(VerifyFailed, match=message):
        enforce(verified(path))
    equal = verified(path).vectors[1].equal
    assert {name for name, is_equal in equal.items() if not is_equal} == {stage}


def test_overridden_preprocessing_is_reported_at_the_pixels(exported: dict[Precision, Path]) -> None:
    model = read_model_file(exported["int8"])
    assert model.preprocess is not None
    resized = model.with_overrides(None, model.preprocess.model_copy(update={"interpolation": "linear"}))
    difference = difference_of(resized)
    assert difference.stage == "pixels"
    assert difference.reason.startswith("preprocessing differs: it was overridden and is not that of the model card")


def test_overridden_normalization_is_reported_at_the_input(exported: dict[Precision, Path]) -> None:
    model = read_model_file(exported["float32"])
    assert model.preprocess is not None
    shifted = model.with_overrides(None, model.preprocess.model_copy(update={"mean": (127.5,) * 3}))
    assert difference_of(shifted).stage == "input"


def test_a_changed_byte_of_the_network_is_reported_without_running_it(
    exported: dict[Precision, Path], tmp_path: Path
) -> None:
    flatbuffer = bytearray(flatbuffer_of(exported["int8"]))
    flatbuffer[len(flatbuffer) // 2] ^= 1
    path = with_golden(exported["int8"], tmp_path / "m.tflite", golden_of(exported["int8"]), bytes(flatbuffer))
    assert difference_of(path).stage == "network"
    assert verified(path).vectors == ()


def with_inverted_weights(flatbuffer: bytes, classes: int) -> bytes:
    """Negate the weights of the last layer, to simulate kernels that compute wrong outputs."""
    model = schema.Model.GetRootAs(flatbuffer, 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    (last,) = (tensor for tensor in tensors if tensor.ShapeLength() == 2 and tensor.Shape(0) == classes)
    buffer = model.Buffers(last.Buffer())
    start = buffer._tab.Vector(buffer._tab.Offset(4))
    weights = np.frombuffer(flatbuffer, np.int8, buffer.DataLength(), start)
    return flatbuffer[:start] + (-weights).tobytes() + flatbuffer[start + weights.nbytes :]


@pytest.mark.parametrize("kernels", [ON_ANOTHER_PROCESSOR, OLDER], ids=["same family", "other family"])
def test_wrong_outputs_of_the_network_are_reported_at_the_output(
    kernels: dict[str, str], exported: dict[Precision, Path], tmp_path: Path
) -> None:
    wrong, path = tmp_path / "wrong.tflite", tmp_path / "m.tflite"
    with_golden(exported["int8"], wrong, None, with_inverted_weights(flatbuffer_of(exported["int8"]), classes=10))
    expected = golden_of(exported["int8"]).model_dump()
    stamped = {"network_sha256": golden_vectors(wrong).network_sha256, "kernels": kernels}
    with_golden(wrong, path, Golden.model_validate(expected | stamped))
    difference = difference_of(path)
    assert difference.stage == "output"
    result = verified(path).vectors[0]
    assert [result.equal[stage] for stage in VECTOR_STAGES[:4]] == [True, True, True, False]
    assert result.max_steps is not None and result.max_steps > 64
    assert f"{result.max_steps} steps of its output" in difference.reason
    advice = "is wrong on this" if kernels is ON_ANOTHER_PROCESSOR else "install ai-edge-litert 1.0.0, which it was"
    assert advice in difference.reason


@pytest.mark.parametrize(
    ("precision", "off", "kernels", "passes"),
    [
        ("int8", 1, ON_ANOTHER_PROCESSOR, False),
        ("int8", 64, OLDER, True),
        ("int8", 65, OLDER, False),
        ("float32", 9e-6, ON_ANOTHER_PROCESSOR, True),
        ("float32", 1.1e-5, ON_ANOTHER_PROCESSOR, False),
        ("float32", 1.1e-5, OLDER, False),
        ("float16", 9e-6, OLDER, True),
        ("dynamic", 0.09, ON_ANOTHER_PROCESSOR, True),
        ("dynamic", 0.29, OLDER, True),
        ("int16x8", 9e-4, OLDER, True),
    ],
)
def test_outputs_may_differ_within_the_tolerance(
    precision: Precision,
    off: float,
    kernels: dict[str, str],
    *,
    passes: bool,
    exported: dict[Precision, Path],
    tmp_path: Path,
) -> None:
    dtype = golden_of(exported[precision]).output_dtype
    path = with_vectors(exported[precision], tmp_path / "m.tflite", moved(off, dtype), kernels=kernels)
    verification = verified(path)
    assert (first_difference(verification) is None) == passes
    assert verification.same_family == (kernels is ON_ANOTHER_PROCESSOR)
    result = verification.vectors[1]
    assert result.equal["output"] == passes
    assert result.max_steps == (off if precision == "int8" else None)
    assert result.max_difference == pytest.approx(off / 256 if precision == "int8" else off, rel=0.01)


def test_nan_outputs_never_pass(exported: dict[Precision, Path], tmp_path: Path) -> None:
    broken = changes(output=encode_output(np.full(10, np.nan, np.float32)))
    path = with_vectors(exported["float32"], tmp_path / "m.tflite", broken)
    assert difference_of(path).stage == "output"
    assert verification_record(verified(path))["vectors"][1]["max_difference"] is None


# ---- ranking


@pytest.fixture(scope="module")
def six_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose outputs are the bytes of two pixels, with golden vectors that are fast to compute."""
    path = write_pixel_model(tmp_path_factory.mktemp("models"), 1, 2)
    classifier = Classifier(read_model_file(path))
    vectors = tuple(observe(classifier, seed, 8, 9) for seed in range(3))
    return with_golden(path, path, golden_vectors(path).model_copy(update={"vectors": vectors}))


@given(off=st.lists(st.integers(-16, 16), min_size=6, max_size=6))
def test_classes_may_swap_ranks_if_their_outputs_differ_within_the_tolerance(off: list[int], six_bytes: Path) -> None:
    def change(vector: GoldenVector) -> GoldenVector:
        stored = decode_output(vector.output, "uint8").astype(int) + off
        best = np.argsort(-stored.clip(0, 255), kind="stable")[:5].tolist()
        top = tuple(Ranked(index, f"byte {index}") for index in best)
        return vector.model_copy(update={"output": encode_output(stored.clip(0, 255).astype(np.uint8)), "top": top})

    path = with_vectors(six_bytes, six_bytes.with_name("changed.tflite"), change, kernels=OLDER)
    enforce(verified(path))


@pytest.fixture(scope="module")
def watching_bytes(six_bytes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `six_bytes` with a threshold for the byte that the second picture ranks third, just below its score."""
    model = read_model_file(six_bytes)
    assert model.card is not None
    third = Classifier(model).classify(synthetic_frame(1, 8, 9)).top[2]
    card = with_threshold(model.card, third.label, third.score - 1 / 64)
    path = tmp_path_factory.mktemp("models") / "watching.tflite"
    path.write_bytes(append_associated_files(flatbuffer_of(six_bytes), card))
    classifier = Classifier(read_model_file(path))
    vectors = tuple(observe(classifier, seed, 8, 9) for seed in range(3))
    assert vectors[1].top[0].label == third.label
    return with_golden(path, path, golden_vectors(path).model_copy(update={"vectors": vectors}))


def test_a_ranking_with_a_threshold_is_verified(watching_bytes: Path, six_bytes: Path, tmp_path: Path) -> None:
    enforce(verified(watching_bytes))
    without = with_golden(six_bytes, tmp_path / "m.tflite", golden_of(watching_bytes))
    assert difference_of(without).stage == "ranking"


@given(off=st.lists(st.integers(-16, 16), min_size=6, max_size=6))
def test_a_decision_may_change_if_outputs_differ_within_the_tolerance(off: list[int], watching_bytes: Path) -> None:
    classifier = Classifier(read_model_file(watching_bytes))

    def change(vector: GoldenVector) -> GoldenVector:
        stored = (decode_output(vector.output, "uint8").astype(int) + off).clip(0, 255).astype(np.uint8)
        best = ranked(dequantize(stored, classifier.output), 5, classifier.threshold).tolist()
        top = tuple(Ranked(index, f"byte {index}") for index in best)
        return vector.model_copy(update={"output": encode_output(stored), "top": top})

    path = with_vectors(watching_bytes, watching_bytes.with_name("changed.tflite"), change, kernels=OLDER)
    enforce(verified(path))


def test_a_ranking_that_contradicts_the_outputs_is_reported(six_bytes: Path, tmp_path: Path) -> None:
    reversed_top = golden_of(six_bytes).vectors[1].top[::-1]
    path = with_vectors(six_bytes, tmp_path / "m.tflite", changes(top=reversed_top), kernels=OLDER)
    assert difference_of(path).stage == "ranking"


def test_other_labels_for_the_same_outputs_are_reported(exported: dict[Precision, Path]) -> None:
    model = read_model_file(exported["int8"])
    assert model.labels is not None
    assert difference_of(model.with_overrides(LabelMap(model.labels.names[::-1]), None)).stage == "ranking"


# ---- invalid golden vectors


def test_a_file_without_golden_vectors_is_rejected(exported: dict[Precision, Path], tmp_path: Path) -> None:
    path = with_golden(exported["int8"], tmp_path / "m.tflite", None)
    with pytest.raises(ModelFileError, match="has no golden vectors to verify with; export it again"):
        verified(path)


def test_golden_vectors_of_another_network_are_rejected(
    exported: dict[Precision, Path], pixels: Path, tmp_path: Path
) -> None:
    golden = golden_of(pixels).model_copy(update={"network_sha256": golden_of(exported["int8"]).network_sha256})
    path = with_golden(exported["int8"], tmp_path / "m.tflite", golden)
    with pytest.raises(
        ModelFileError, match=r"golden vectors have 90 outputs of .*, its network has 10 of uint8; export"
    ):
        verified(path)


def test_invalid_golden_vectors_do_not_stop_a_classifier(exported: dict[Precision, Path], tmp_path: Path) -> None:
    source = exported["int8"]
    later = golden_of(source).model_copy(update={"format_version": 2})
    model = read_model_file(with_golden(source, tmp_path / "m.tflite", later))
    assert Classifier(model).classify(np.zeros((64, 64, 3), np.uint8)).best.score > 0
    with pytest.raises(ModelFileError, match="are invalid: format_version: Input should be 1, got 2"):
        verify(model)
