from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgecnn.core.errors import ModelFileError
from edgecnn.core.model_file.card import CalibrationRecord, DatasetRecord, ModelCard, card_from_json
from edgecnn.core.preprocess import PreprocessSpec
from tests.pixel_model import pixel_card, with_threshold

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 10**6)

specs = st.builds(
    PreprocessSpec,
    height=st.integers(1, 4096),
    width=st.integers(1, 4096),
    resize=st.sampled_from(["center_crop", "squash", "letterbox"]),
    crop_fraction=st.floats(0, 1, exclude_min=True),
    interpolation=st.sampled_from(["box_linear", "area", "linear"]),
    mean=st.tuples(numbers, numbers, numbers),
    std=st.tuples(*[st.floats(0, exclude_min=True, allow_infinity=False)] * 3),
) | st.builds(PreprocessSpec, height=st.just(28), width=st.just(28), mean=st.tuples(numbers), std=st.just((1.0,)))
cards = st.builds(
    ModelCard,
    name=texts,
    backbone=texts,
    precision=st.sampled_from(["float32", "float16", "dynamic", "int8", "int16x8"]),
    quantization=st.sampled_from(["none", "ptq", "qat"]),
    preprocess=specs,
    labels=st.lists(texts, min_size=1, max_size=5).map(tuple),
    metrics=st.dictionaries(texts, numbers, max_size=3),
    dataset=st.none() | st.builds(DatasetRecord, fingerprint=texts, counts=st.dictionaries(texts, counts, max_size=3)),
    calibration=st.none() | st.builds(CalibrationRecord, fingerprint=texts, count=counts, seed=counts),
    parent_sha256=st.none() | texts,
    versions=st.dictionaries(texts, texts, max_size=3),
    created=st.datetimes(timezones=st.just(UTC)),
)


@given(cards)
def test_card_survives_a_round_trip_through_json(card: ModelCard) -> None:
    assert card_from_json(card.model_dump_json().encode(), "model.tflite") == card


def test_card_with_threshold_and_older_card_without_it_are_read() -> None:
    card = pixel_card(1, 1, ("cat", "dog", "fox"))
    thresholded = with_threshold(card, "dog", 0.125)
    assert card_from_json(thresholded.model_dump_json().encode(), "m.tflite") == thresholded
    older = {key: value for key, value in json.loads(card.model_dump_json()).items() if key != "threshold"}
    assert card_from_json(json.dumps(older).encode(), "m.tflite") == card


@pytest.mark.parametrize("labels", [("cat", "fox"), ("dog", "dog"), ("dog",)])
def test_threshold_must_be_for_one_of_several_classes(labels: tuple[str, ...]) -> None:
    thresholded = with_threshold(pixel_card(1, 1, ("cat", "dog", "fox")), "dog", 0.125)
    content = json.dumps({**json.loads(thresholded.model_dump_json()), "labels": labels}).encode()
    with pytest.raises(
        ModelFileError, match="the threshold is for 'dog', which must name exactly one of at least two classes"
    ):
        card_from_json(content, "m.tflite")


def card_with(**fields: Any) -> bytes:
    return json.dumps({**json.loads(pixel_card(1, 1).model_dump_json()), **fields}).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (card_with(color="red"), "color: Extra inputs are not permitted, got 'red'"),
        (card_with(format_version=2), "format_version: Input should be 1, got 2"),
        (card_with(labels=[]), "labels: "),
        (card_with(precision="int4"), "precision: "),
        (card_with(metrics={"top1": None}), "metrics.top1: "),
        (card_with(preprocess={"height": 0}), r"preprocess.height: .* \(and 3 more\)"),
        (b"{", "the document: Invalid JSON"),
        (b"\xff\xfe", "the document: Invalid JSON"),
        (b"[]", "the document: "),
    ],
)
def test_invalid_card_is_refused_in_one_line(content: bytes, problem: str) -> None:
    with pytest.raises(ModelFileError, match=f"model.tflite: the model card is invalid: {problem}") as caught:
        card_from_json(content, "model.tflite")
    assert "\n" not in str(caught.value)


def test_metric_that_json_cannot_represent_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite number"):
        ModelCard.model_validate({**pixel_card(1, 1).model_dump(), "metrics": {"auc_roc": float("nan")}})


def test_card_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        pixel_card(1, 1).name = "other"
