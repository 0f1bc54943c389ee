from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import DataError, InputError, ModelFileError
from edgecnn.core.frame import PreparedFrame
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap, labels_to_text
from edgecnn.core.model_file.model_file import ModelFile, append_associated_files, read_model_file
from edgecnn.core.preprocess import Image, Preprocessor, preprocess
from edgecnn.runtime.inference.classifier import DEFAULT_TOP_K, Classifier, classify, load_model
from edgecnn.runtime.inference.image_argument import Channels, ImageArgument
from tests.pixel_model import SCALE, ZERO_POINT, pixel_card, pixel_model, pixel_spec, write_pixel_model

PICTURE: Image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
LARGE, SMALL = "mobilenet_v2_1.0_224_quant.tflite", "mobilenet_v1_0.25_128_quant.tflite"


@pytest.fixture(scope="session", params=["uint8", "int8", "float32"])
def bytes_classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A classifier whose scores are the bytes of a 2x3 picture, as (byte - 128) / 64."""
    path = write_pixel_model(tmp_path_factory.mktemp("models"), 2, 3, request.param)
    return Classifier(read_model_file(path), top_k=4)


pictures = st.lists(st.integers(0, 255), min_size=18, max_size=18).map(
    lambda values: np.array(values, np.uint8).reshape(2, 3, 3)
)
few_values = st.lists(st.sampled_from([0, 1, 255]), min_size=18, max_size=18).map(
    lambda values: np.array(values, np.uint8).reshape(2, 3, 3)
)


@given(pictures)
def test_a_prepared_frame_gets_the_same_prediction_as_its_picture(bytes_classifier: Classifier, picture: Image) -> None:
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
def test_a_third_party_model_recognizes_photos(name: str, photo: str, label: str, data: Path) -> None:
    classifier = Classifier(load_model(data / "third_party_models" / name, preprocess="center_crop:0.875"))
    assert classifier.classify(read_image(data / "photos" / f"{photo}.jpg")).best.label == label


def test_probabilities_sum_to_one_and_the_best_are_the_prediction(data: Path, mobilenet_v2: ModelFile) -> None:
    classifier = Classifier(mobilenet_v2)
    image = read_image(data / "photos" / "parrot.jpg")
    probabilities = classifier.probabilities(image)
    assert probabilities.shape == (1001,)
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1, abs=0.05)
    prediction = classifier.classify(image)
    assert prediction.best.index == probabilities.argmax()
    assert [score.score for score in prediction.top] == sorted(probabilities.tolist(), reverse=True)[:5]
    assert min(prediction.latency_ms) > 0


@given(image=pictures | few_values)
def test_classes_are_ranked_by_score_and_ties_go_to_the_lower_index(image: Image, bytes_classifier: Classifier) -> None:
    scores = image.ravel().tolist()
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:4]
    top = bytes_classifier.classify(image).top
    assert [score.index for score in top] == expected
    assert [score.label for score in top] == [f"byte {index}" for index in expected]
    assert [score.score for score in top] == [(scores[index] - ZERO_POINT) * SCALE for index in expected]


@given(image=pictures)
def test_every_input_type_represents_the_same_normalized_values(image: Image, bytes_classifier: Classifier) -> None:
    expected = (image.ravel().astype(np.float32) - ZERO_POINT) * SCALE
    assert np.array_equal(bytes_classifier.probabilities(image), expected)


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 99))
def test_an_image_of_any_size_is_preprocessed_as_the_file_specifies(
    height: int, width: int, seed: int, bytes_classifier: Classifier
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    prepared = preprocess(image, bytes_classifier.preprocess)
    assert np.array_equal(bytes_classifier.probabilities(image), bytes_classifier.probabilities(prepared))


def test_an_image_does_not_affect_the_next_prediction(bytes_classifier: Classifier) -> None:
    black, white = np.zeros((2, 3, 3), np.uint8), np.full((90, 70, 3), 255, np.uint8)
    first = bytes_classifier.classify(black).top
    assert bytes_classifier.classify(white).top != first
    assert bytes_classifier.classify(black).top == first


def test_probabilities_are_not_overwritten_by_the_next_image(bytes_classifier: Classifier) -> None:
    kept = bytes_classifier.probabilities(np.zeros((2, 3, 3), np.uint8))
    before = kept.copy()
    bytes_classifier.probabilities(np.full((2, 3, 3), 255, np.uint8))
    assert np.array_equal(kept, before)


def test_a_frame_allocates_no_image_if_the_input_takes_bytes(mobilenet_v2: ModelFile) -> None:
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


def test_top_k_is_limited_to_the_number_of_classes(tmp_path: Path) -> None:
    classifier = Classifier(read_model_file(write_pixel_model(tmp_path, 1, 1)), top_k=9)
    assert len(classifier.classify(np.zeros((1, 1, 3), np.uint8)).top) == classifier.top_k == 3


def test_an_output_with_extra_dimensions_is_a_row_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(append_associated_files(pixel_model(1, 2, output_rank=4), pixel_card(1, 2)))
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert [score.index for score in Classifier(read_model_file(path), top_k=2).classify(image).top] == [5, 4]


def test_a_byte_input_without_quantization_stores_bytes_unchanged(tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1, quantized=False))
    names.write_text(labels_to_text("rgb"))
    classifier = Classifier(load_model(path, labels=names, preprocess="squash"))
    assert classifier.probabilities(np.array([[[7, 0, 255]]], np.uint8)).tolist() == [7, 0, 255]


# ---- gray


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
def test_a_network_for_gray_gets_the_luma_of_a_frame(dtype: str, tmp_path: Path) -> None:
    classifier = Classifier(read_model_file(write_pixel_model(tmp_path, 4, 5, dtype, channels=1)))
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    gray = preprocess(frame, pixel_spec(4, 5, channels=1))
    expected = (gray.ravel().astype(np.float32) - ZERO_POINT) * SCALE
    assert np.ptp(expected) > 0
    assert np.array_equal(classifier.probabilities(frame), expected)
    assert classifier.classify_prepared(PreparedFrame(gray, 0.0)).top == classifier.classify(frame).top


def test_a_third_party_file_for_gray_is_normalized_as_it_specifies(tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 2, channels=1))
    names.write_text(labels_to_text(("left", "right")))
    classifier = Classifier(load_model(path, labels=names, preprocess="squash"))
    assert (classifier.preprocess.mean, classifier.preprocess.std) == ((ZERO_POINT,), (1 / SCALE,))
    frame = np.array([[[7, 7, 7], [200, 200, 200]]], np.uint8)
    assert classifier.probabilities(frame).tolist() == [(7 - ZERO_POINT) * SCALE, (200 - ZERO_POINT) * SCALE]


# ---- paths and arrays


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image file with a different byte in every pixel and channel."""
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), PICTURE[:, :, ::-1])
    return path


@pytest.mark.parametrize("kind", [Path, str])
def test_models_and_images_may_be_paths(kind: type[Path | str], photo: Path, tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 2, 3)
    classifier = Classifier(kind(path))
    assert classifier.model == load_model(path)
    assert classifier.classify(kind(photo)).top == Classifier(load_model(path)).classify(PICTURE).top


def test_labels_and_preprocessing_complete_a_file_without_a_card(tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1))
    names.write_text(labels_to_text(("red", "green", "blue")))
    loaded = load_model(path, labels=names, preprocess="squash")
    assert Classifier(path, labels=names, preprocess="squash").model == loaded
    assert Classifier(load_model(path), labels=str(names), preprocess="squash").model == loaded
    assert classify(path, np.full((1, 1, 3), 9, np.uint8), labels=names, preprocess="squash").best.label == "red"


@given(image=pictures)
def test_a_bgr_array_gets_the_prediction_of_the_rgb_array(image: Image, bytes_classifier: Classifier) -> None:
    expected = bytes_classifier.classify(image).top
    reverse = image[:, :, ::-1]
    assert bytes_classifier.classify(np.ascontiguousarray(reverse), channels="bgr").top == expected
    assert bytes_classifier.classify(reverse, channels="bgr").top == expected


def test_a_bgr_array_is_not_modified_and_its_size_may_change(bytes_classifier: Classifier) -> None:
    for height, width in ((4, 5), (4, 5), (40, 50)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        before = image.copy()
        expected = bytes_classifier.classify(np.ascontiguousarray(image[:, :, ::-1])).top
        assert bytes_classifier.classify(image, channels="bgr").top == expected
        assert np.array_equal(image, before)


@pytest.mark.parametrize("channels", ["BGR", "rgba", ""])
def test_unknown_channels_are_rejected_and_the_known_ones_are_named(
    channels: Any, bytes_classifier: Classifier
) -> None:
    with pytest.raises(InputError, match=f"unknown channels '{channels}'; use 'rgb', or 'bgr' for an array"):
        bytes_classifier.classify(PICTURE, channels=channels)


def test_channels_of_a_path_are_rejected(photo: Path, bytes_classifier: Classifier) -> None:
    with pytest.raises(
        InputError, match=r"channels='bgr' applies to arrays only, got the path .*photo\.png'; leave it"
    ):
        bytes_classifier.classify(photo, channels="bgr")


def test_a_missing_image_file_is_an_error(bytes_classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such image"):
        bytes_classifier.classify(tmp_path / "missing.jpg")


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (np.zeros((4, 4, 3), np.float32), r"got float32 \(4, 4, 3\); scale its values to 0..255 and convert"),
        (np.zeros((4, 4, 3), np.int64), r"got int64 \(4, 4, 3\); scale"),
        (np.zeros((4, 4), np.uint8), r"got \(4, 4\); repeat a gray picture for each of the three channels"),
        (np.zeros((4, 4, 1), np.uint8), r"got \(4, 4, 1\); repeat a gray picture"),
        (np.zeros((4, 4, 4), np.uint8), r"got \(4, 4, 4\); remove the alpha channel"),
        (np.zeros((3, 4, 4, 3), np.uint8), r"got \(3, 4, 4, 3\); pass one image at a time"),
        (np.zeros((3, 40, 40), np.uint8), r"got \(3, 40, 40\); convert it to three channels"),
        (np.zeros((0, 4, 3), np.uint8), r"got \(0, 4, 3\); the array has no pixels"),
        (np.array(7, np.uint8), r"got \(\); convert"),
        (None, "expected an image as a path or a numpy array, got NoneType"),
        ([[1, 2, 3]], "expected an image as a path or a numpy array, got list"),
    ],
)
def test_an_array_that_is_not_an_image_is_rejected_in_one_line(
    image: Any, complaint: str, channels: Channels, bytes_classifier: Classifier
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        bytes_classifier.classify(image, channels=channels)
    assert "\n" not in str(caught.value)


# ---- the function `classify`


def test_one_image_gives_a_prediction_and_a_sequence_gives_a_list(photo: Path, tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 2, 3)
    expected = Classifier(path).classify(PICTURE).top
    for model in (path, str(path), load_model(path), Classifier(path)):
        for image in (photo, str(photo), PICTURE):
            assert classify(model, image).top == expected
        images: list[ImageArgument] = [photo, PICTURE, np.zeros_like(PICTURE)]
        assert [prediction.top for prediction in classify(model, images)] == [
            Classifier(path).classify(image).top for image in images
        ]
        assert classify(model, ()) == []


def test_the_options_of_classify_configure_a_new_classifier(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 2, 3)
    assert len(classify(path, PICTURE).top) == DEFAULT_TOP_K
    assert len(classify(path, PICTURE, top_k=2, threads=2).top) == 2
    (prediction,) = classify(path, [np.ascontiguousarray(PICTURE[:, :, ::-1])], channels="bgr")
    assert prediction.top == classify(path, PICTURE).top


@pytest.mark.parametrize("options", [{"top_k": 2}, {"threads": 2}, {"labels": "labels.txt"}, {"preprocess": "squash"}])
def test_options_for_a_classifier_that_is_already_open_are_rejected(
    options: dict[str, Any], bytes_classifier: Classifier
) -> None:
    with pytest.raises(
        InputError, match="a Classifier has its own top_k, threads, labels and preprocess; set them when"
    ):
        classify(bytes_classifier, PICTURE, **options)


# ---- rejected models and options


def test_a_file_without_labels_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(pixel_model(1, 1))
    with pytest.raises(
        ModelFileError, match="contains no labels; provide its 3 labels with --labels FILE, one per line"
    ):
        Classifier(load_model(path, preprocess="squash"))


@pytest.mark.parametrize(
    ("dtype", "hint"), [("uint8", "center_crop:0.875$"), ("float32", "center_crop:0.875,mean=127.5,std=127.5$")]
)
def test_a_file_without_preprocessing_is_rejected(dtype: str, hint: str, tmp_path: Path) -> None:
    path, names = tmp_path / "m.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1, dtype))
    names.write_text(labels_to_text("rgb"))
    with pytest.raises(ModelFileError, match=f"does not specify its preprocessing; add --preprocess, .*{hint}"):
        Classifier(load_model(path, labels=names))


def test_a_wrong_number_of_labels_is_rejected(tmp_path: Path) -> None:
    model = replace(read_model_file(write_pixel_model(tmp_path, 1, 1)), labels=LabelMap(("cat", "dog")))
    with pytest.raises(ModelFileError, match="has 3 outputs and 2 labels; use one label per output"):
        Classifier(model)


def test_preprocessing_for_another_size_is_rejected(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 2, 3))
    assert model.preprocess is not None
    turned = replace(model, preprocess=model.preprocess.model_copy(update={"height": 3, "width": 2}))
    with pytest.raises(ModelFileError, match="takes 2x3 pixels of RGB and its preprocessing gives 3x2 of RGB"):
        Classifier(turned)


def test_preprocessing_for_other_channels_is_rejected(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 2, 3, channels=1))
    color = replace(model, preprocess=pixel_spec(2, 3))
    with pytest.raises(ModelFileError, match="takes 2x3 pixels of gray and its preprocessing gives 2x3 of RGB"):
        Classifier(color)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"threads": 0}])
def test_options_below_one_are_rejected(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 0"):
        Classifier(read_model_file(write_pixel_model(tmp_path, 1, 1)), **options)


def test_a_model_that_the_interpreter_rejects_is_a_one_line_error(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 1, 1)
    model = read_model_file(path)
    # Simulates another program that has started to overwrite the file in the meantime.
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelFileError, match="cannot run") as caught:
        Classifier(model)
    assert "\n" not in str(caught.value)
