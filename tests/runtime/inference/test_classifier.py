from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.frame import PreparedFrame
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap, labels_to_text
from edgecnn.core.model_file.model_file import ModelFile, append_associated_files, read_model_file
from edgecnn.core.preprocess import Image, Preprocessor, preprocess
from edgecnn.runtime.inference.classifier import Classifier, load_model
from tests.pixel_model import SCALE, ZERO_POINT, pixel_card, pixel_model, pixel_spec, write_pixel_model

LARGE, SMALL = "mobilenet_v2_1.0_224_quant.tflite", "mobilenet_v1_0.25_128_quant.tflite"


@pytest.fixture(scope="session", params=["uint8", "int8", "float32"])
def bytes_classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Its scores are the bytes of a 2x3 picture, as (byte - 128) / 64."""
    path = write_pixel_model(tmp_path_factory.mktemp("models"), 2, 3, request.param)
    return Classifier(read_model_file(path), top_k=4)


pictures = st.lists(st.integers(0, 255), min_size=18, max_size=18).map(
    lambda values: np.array(values, np.uint8).reshape(2, 3, 3)
)
few_values = st.lists(st.sampled_from([0, 1, 255]), min_size=18, max_size=18).map(
    lambda values: np.array(values, np.uint8).reshape(2, 3, 3)
)


@given(pictures)
def test_a_picture_that_was_preprocessed_elsewhere_gets_the_same_answer(
    bytes_classifier: Classifier, picture: Image
) -> None:
    prepared = PreparedFrame(Preprocessor(bytes_classifier.preprocess)(picture), 3.0)
    prediction = bytes_classifier.classify_prepared(prepared)
    assert prediction.top == bytes_classifier.classify(picture).top
    assert prediction.latency_ms.preprocess > 3


@pytest.mark.parametrize(
    ("name", "photo", "label"),
    [
        (LARGE, "cat_720p", "Egyptian cat"),
        (LARGE, "hot_dog", "hotdog, hot dog, red hot"),
        (LARGE, "parrot", "macaw"),
        (LARGE, "sunflower", "daisy"),
        (SMALL, "cat_720p", "Egyptian cat"),
        (SMALL, "parrot", "macaw"),
        (SMALL, "sunflower", "daisy"),
    ],
)
def test_a_photo_is_known_by_a_model_that_others_made(name: str, photo: str, label: str, data: Path) -> None:
    classifier = Classifier(load_model(data / "third_party_models" / name, preprocess="center_crop:0.875"))
    assert classifier.classify(read_image(data / "photos" / f"{photo}.jpg")).best.label == label


def test_probabilities_add_up_to_one_and_the_best_of_them_are_the_prediction(
    data: Path, mobilenet_v2: ModelFile
) -> None:
    classifier = Classifier(mobilenet_v2)
    image = read_image(data / "photos" / "parrot.jpg")
    probabilities = classifier.probabilities(image)
    assert probabilities.shape == (1001,)
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1, abs=0.05)
    prediction = classifier.classify(image)
    assert prediction.best.index == probabilities.argmax()
    assert [best.score for best in prediction.top] == sorted(probabilities.tolist(), reverse=True)[:5]
    assert min(prediction.latency_ms) > 0


@given(image=pictures | few_values)
def test_the_best_are_in_order_and_ties_go_to_the_lower_index(image: Image, bytes_classifier: Classifier) -> None:
    scores = image.ravel().tolist()
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:4]
    top = bytes_classifier.classify(image).top
    assert [best.index for best in top] == expected
    assert [best.label for best in top] == [f"byte {index}" for index in expected]
    assert [best.score for best in top] == [(scores[index] - ZERO_POINT) * SCALE for index in expected]


@given(image=pictures)
def test_every_type_of_input_stands_for_the_same_normalized_values(image: Image, bytes_classifier: Classifier) -> None:
    expected = (image.ravel().astype(np.float32) - ZERO_POINT) * SCALE
    assert np.array_equal(bytes_classifier.probabilities(image), expected)


@settings(max_examples=30)
@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 99))
def test_an_image_of_any_size_goes_through_the_preprocessing_of_the_file(
    height: int, width: int, seed: int, bytes_classifier: Classifier
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    prepared = preprocess(image, bytes_classifier.preprocess)
    assert np.array_equal(bytes_classifier.probabilities(image), bytes_classifier.probabilities(prepared))


def test_one_image_leaves_nothing_for_the_next(bytes_classifier: Classifier) -> None:
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((90, 70, 3), 255, np.uint8)
    first = bytes_classifier.classify(black).top
    assert bytes_classifier.classify(white).top != first
    assert bytes_classifier.classify(black).top == first


def test_probabilities_stay_when_the_next_image_comes(bytes_classifier: Classifier) -> None:
    kept = bytes_classifier.probabilities(np.zeros((2, 3, 3), np.uint8))
    before = kept.copy()
    bytes_classifier.probabilities(np.full((2, 3, 3), 255, np.uint8))
    assert np.array_equal(kept, before)


def test_a_frame_costs_no_new_image_where_bytes_are_the_input(mobilenet_v2: ModelFile) -> None:
    classifier = Classifier(mobilenet_v2)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    classifier.classify(frame)
    tracemalloc.start()
    try:
        for _ in range(3):
            classifier.classify(frame)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 224 * 224 * 3 / 4


def test_more_classes_are_not_given_than_there_are(tmp_path: Path) -> None:
    classifier = Classifier(read_model_file(write_pixel_model(tmp_path, 1, 1)), top_k=9)
    assert len(classifier.classify(np.zeros((1, 1, 3), np.uint8)).top) == classifier.top_k == 3


def test_an_output_of_more_dimensions_is_a_row_of_classes_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(append_associated_files(pixel_model(1, 2, output_rank=4), pixel_card(1, 2)))
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert [best.index for best in Classifier(read_model_file(path), top_k=2).classify(image).top] == [5, 4]


def test_bytes_without_quantization_go_in_as_they_are(tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1, quantized=False))
    names.write_text(labels_to_text("rgb"))
    classifier = Classifier(load_model(path, labels=names, preprocess="squash"))
    assert classifier.probabilities(np.array([[[7, 0, 255]]], np.uint8)).tolist() == [7, 0, 255]


# ---- gray


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
def test_a_network_that_sees_gray_gets_the_luma_of_a_frame(dtype: str, tmp_path: Path) -> None:
    classifier = Classifier(read_model_file(write_pixel_model(tmp_path, 4, 5, dtype, channels=1)))
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    gray = preprocess(frame, pixel_spec(4, 5, channels=1))
    expected = (gray.ravel().astype(np.float32) - ZERO_POINT) * SCALE
    assert np.ptp(expected) > 0
    assert np.array_equal(classifier.probabilities(frame), expected)
    assert classifier.classify_prepared(PreparedFrame(gray, 0.0)).top == classifier.classify(frame).top


def test_a_gray_file_by_others_is_run_by_what_it_says(tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 2, channels=1))
    names.write_text(labels_to_text(("left", "right")))
    classifier = Classifier(load_model(path, labels=names, preprocess="squash"))
    assert (classifier.preprocess.mean, classifier.preprocess.std) == ((ZERO_POINT,), (1 / SCALE,))
    frame = np.array([[[7, 7, 7], [200, 200, 200]]], np.uint8)
    assert classifier.probabilities(frame).tolist() == [(7 - ZERO_POINT) * SCALE, (200 - ZERO_POINT) * SCALE]


# ---- what cannot be run


def test_a_file_without_labels_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(pixel_model(1, 1))
    with pytest.raises(ModelFileError, match="names no classes; give its 3 labels with --labels FILE"):
        Classifier(load_model(path, preprocess="squash"))


@pytest.mark.parametrize(
    ("dtype", "hint"), [("uint8", "center_crop:0.875$"), ("float32", "center_crop:0.875,mean=127.5,std=127.5$")]
)
def test_a_file_that_does_not_say_its_preprocessing_asks_for_it(dtype: str, hint: str, tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1, dtype))
    names.write_text(labels_to_text("rgb"))
    with pytest.raises(ModelFileError, match=f"does not say how to prepare images; add --preprocess, .*{hint}"):
        Classifier(load_model(path, labels=names))


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    model = replace(read_model_file(write_pixel_model(tmp_path, 1, 1)), labels=LabelMap(("cat", "dog")))
    with pytest.raises(ModelFileError, match="has 3 outputs and 2 labels; they must be as many"):
        Classifier(model)


def test_preprocessing_for_another_size_is_refused(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 2, 3))
    assert model.preprocess is not None
    turned = replace(model, preprocess=model.preprocess.model_copy(update={"height": 3, "width": 2}))
    with pytest.raises(ModelFileError, match="takes 2x3 pixels of RGB and its preprocessing gives 3x2 of RGB"):
        Classifier(turned)


def test_preprocessing_for_other_channels_is_refused(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 2, 3, channels=1))
    color = replace(model, preprocess=pixel_spec(2, 3))
    with pytest.raises(ModelFileError, match="takes 2x3 pixels of gray and its preprocessing gives 2x3 of RGB"):
        Classifier(color)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"threads": 0}])
def test_options_below_one_are_refused(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 0"):
        Classifier(read_model_file(write_pixel_model(tmp_path, 1, 1)), **options)


def test_an_image_that_is_none_is_refused(bytes_classifier: Classifier) -> None:
    with pytest.raises(InputError, match="expected an image of uint8"):
        bytes_classifier.classify(np.zeros((4, 4, 3), np.float32))


def test_a_model_that_the_interpreter_refuses_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 1, 1)
    model = read_model_file(path)
    # As if another program had begun to write the file anew in the meantime.
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelFileError, match="cannot run") as caught:
        Classifier(model)
    assert "\n" not in str(caught.value)
