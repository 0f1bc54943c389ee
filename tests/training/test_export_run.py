from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from ai_edge_litert import schema_py_generated as schema

from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import DataError, ExportError, InputError
from edgecnn.core.images import read_image
from edgecnn.core.model_file.card import CARD_FILE, CalibrationRecord
from edgecnn.core.model_file.golden import GOLDEN_FILE
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file, sha256_of
from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import RunRecord, read_run
from edgecnn.core.settings.command_settings import ExportSettings
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.interpreter import open_interpreter
from edgecnn.runtime.inference.tensors import byte_table, tensor_spec
from edgecnn.runtime.inference.verdict import first_difference
from edgecnn.runtime.inference.verify import kernels_here, verify
from edgecnn.training.export import export_pretrained, export_run
from edgecnn.training.fitting.input_pipeline import Labeled, labeled_pixels
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import load_float_model
from edgecnn.training.normalization import normalize
from edgecnn.training.qat import calibrated_model
from edgecnn.training.quantization.calibration import calibrate_with
from edgecnn.training.tflite import export_checks as check
from edgecnn.training.tflite.convert import convert
from edgecnn.training.tflite.golden_vectors import golden_vectors
from tests.tampered import flatbuffer_of, golden_of
from tests.training.interpreted import interpret
from tests.training.networks import IMAGE_SHAPE, SPEC, pixels

WEIGHTS_START_AT = 16
"""Alignment of weights in flatbuffers, in bytes: interpreters map them in place."""


@pytest.fixture(scope="module")
def record(trained_run: Path) -> RunRecord:
    return read_run(trained_run)[1]


@pytest.fixture(scope="module")
def test_photos(record: RunRecord) -> Labeled:
    return labeled_pixels(dataset_of_run(record).splits[TEST][::4], record.preprocess)


every_precision = pytest.mark.parametrize("precision", PRECISIONS)


# ---- the files


def test_files_are_named_after_run_and_precision(exported: dict[Precision, Path]) -> None:
    assert {precision: path.name for precision, path in exported.items()} == {
        precision: f"digits-{precision}.tflite" for precision in PRECISIONS
    }
    (folder,) = {path.parent for path in exported.values()}
    assert folder.name == "export"
    assert set(folder.iterdir()) == set(exported.values())


@every_precision
def test_every_precision_classifies(precision: Precision, exported: dict[Precision, Path], record: RunRecord) -> None:
    classifier = Classifier(read_model_file(exported[precision]))
    photos = dataset_of_run(record).splits[TEST][::4]
    right = [classifier.classify(read_image(photo.path)).top[0].label == record.labels[photo.label] for photo in photos]
    assert np.mean(right) > 0.85


@every_precision
def test_a_file_has_one_input_of_one_image_and_one_output_of_probabilities(
    precision: Precision, exported: dict[Precision, Path], test_photos: Labeled
) -> None:
    interpreter = open_interpreter(exported[precision], threads=1)
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(image["shape"]) == list(image["shape_signature"]) == [1, 64, 64, 3]
    assert list(scores["shape"]) == list(scores["shape_signature"]) == [1, 10]
    inputs = test_photos.pixels[:4]
    if precision != "int8":
        inputs = normalize(inputs, read_model_file(exported[precision]).card.preprocess)  # type: ignore[union-attr]
    outputs = interpret(exported[precision], inputs)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=0.03)


@every_precision
def test_a_file_has_a_signature_with_tensorflows_names(precision: Precision, exported: dict[Precision, Path]) -> None:
    signatures = open_interpreter(exported[precision], threads=1).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["output_0"]}}


def test_smaller_precisions_are_smaller(exported: dict[Precision, Path]) -> None:
    size = {precision: path.stat().st_size for precision, path in exported.items()}
    assert 1.8 < size["float32"] / size["float16"] < 2.1
    assert 3 < size["float32"] / size["int8"] < 4.2
    assert size["dynamic"] < size["float16"]
    assert size["int16x8"] < size["float16"]


# ---- float32


def test_the_float32_file_computes_the_same_as_keras(
    exported: dict[Precision, Path], trained_run: Path, test_photos: Labeled
) -> None:
    model = load_float_model(*read_run(trained_run))
    inputs = normalize(test_photos.pixels, read_run(trained_run)[1].preprocess)
    np.testing.assert_allclose(
        interpret(exported["float32"], inputs), model.predict(inputs, verbose=0), rtol=0, atol=1e-4
    )


# ---- int8


@pytest.fixture(params=["ptq", "qat"])
def int8_file(request: pytest.FixtureRequest) -> Path:
    """Return the int8 file of post-training quantization or of quantization-aware training."""
    if request.param == "qat":
        return Path(request.getfixturevalue("qat_exported"))
    return Path(request.getfixturevalue("exported")["int8"])


def test_an_int8_file_has_no_float_tensor(int8_file: Path) -> None:
    tensors = open_interpreter(int8_file, threads=1).get_tensor_details()
    assert {np.dtype(tensor["dtype"]).name for tensor in tensors} <= {"int8", "uint8", "int32"}


def test_the_input_of_an_int8_file_is_the_bytes_of_a_camera(int8_file: Path) -> None:
    classifier = Classifier(read_model_file(int8_file))
    assert classifier.input.dtype == classifier.output.dtype == np.uint8
    assert classifier.input.scale == np.float32(1 / 128)
    assert classifier.input.zero_point == 127
    assert byte_table(classifier.preprocess, classifier.input) is None
    assert (classifier.output.scale, classifier.output.zero_point) == (1 / 256, 0)


def test_int8_agrees_with_float32(
    int8_file: Path, exported: dict[Precision, Path], record: RunRecord, test_photos: Labeled
) -> None:
    expected = interpret(exported["float32"], normalize(test_photos.pixels, record.preprocess))
    outputs = interpret(int8_file, test_photos.pixels)
    assert (outputs.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


# ---- card and golden vectors


@every_precision
def test_labels_preprocessing_and_provenance_can_be_read_back(
    precision: Precision, exported: dict[Precision, Path], record: RunRecord
) -> None:
    model_file = read_model_file(exported[precision])
    card = model_file.card
    assert card is not None
    assert model_file.labels is not None
    assert model_file.labels.names == card.labels == record.labels
    assert model_file.normalization is not None
    assert model_file.normalization.mean == card.preprocess.mean
    assert model_file.normalization.std == card.preprocess.std
    assert (card.name, card.backbone, card.precision) == ("digits", "efficientnet_lite0", precision)
    assert card.preprocess == model_file.preprocess == record.preprocess
    assert card.dataset == record.dataset
    assert {"edgecnn", "tensorflow", "ai-edge-litert"} <= card.versions.keys()
    assert card.metrics["validation_images"] == record.dataset.counts[VALIDATION]
    assert abs(card.metrics["validation_accuracy"] - record.metrics["validation_accuracy"]) < 0.06
    with zipfile.ZipFile(exported[precision]) as archive:
        assert archive.namelist() == ["labels.txt", CARD_FILE, GOLDEN_FILE]
        assert archive.read("labels.txt").decode().split() == list(record.labels)


@every_precision
def test_a_file_contains_reproducible_golden_vectors(precision: Precision, exported: dict[Precision, Path]) -> None:
    path = exported[precision]
    golden = golden_of(path)
    assert golden.kernels == kernels_here(None)
    assert golden.network_sha256 == hashlib.sha256(flatbuffer_of(path)).hexdigest()
    assert golden.output_dtype == ("uint8" if precision == "int8" else "float32")
    sizes = {(vector.height, vector.width) for vector in golden.vectors}
    assert {(480, 640), (641, 481), (131, 97), (1080, 1920)} < sizes
    assert min(sizes) < (64, 64)
    assert len({vector.output for vector in golden.vectors}) == len(golden.vectors) == 5
    # They must be reproducible to the byte, because they are part of the file's hash.
    assert golden_vectors(path) == golden


def test_the_float32_file_is_the_parent_of_the_others(exported: dict[Precision, Path]) -> None:
    cards = {precision: read_model_file(path).card for precision, path in exported.items()}
    parent = sha256_of(exported["float32"])
    assert {precision: card and card.parent_sha256 for precision, card in cards.items()} == {
        precision: None if precision == "float32" else parent for precision in PRECISIONS
    }


def test_the_card_records_quantization_and_calibration(
    exported: dict[Precision, Path], qat_exported: Path, record: RunRecord
) -> None:
    train = dataset_of_run(record).splits[TRAIN]
    with_photos = calibrate_with(train, record.preprocess, 100, seed=0).record
    assert with_photos == CalibrationRecord(fingerprint=with_photos.fingerprint, count=100, seed=0)
    cards = {precision: read_model_file(path).card for precision, path in exported.items()}
    assert {precision: (card.quantization, card.calibration) for precision, card in cards.items() if card} == {
        "float32": ("none", None),
        "float16": ("none", None),
        "dynamic": ("ptq", None),
        "int8": ("ptq", with_photos),
        "int16x8": ("ptq", with_photos),
    }
    aware = read_model_file(qat_exported).card
    assert aware is not None
    assert (aware.quantization, aware.calibration) == ("qat", with_photos)
    assert aware.parent_sha256 == sha256_of(qat_exported.with_name("digits-float32.tflite"))


def test_ptq_ignores_quantization_aware_weights_and_has_its_own_name(
    qat_run: Path, qat_exported: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(qat_run, tmp_path / "digits")
    settings = ExportSettings(precisions=("int8",), ptq=True, calibration_images=20, seed=5)
    _, afterwards = export_run(run, settings)
    assert qat_exported.name == "digits-int8.tflite"
    assert afterwards.name == "digits-ptq-int8.tflite"
    card = read_model_file(afterwards).card
    assert card is not None
    assert card.quantization == "ptq"
    assert card.calibration is not None
    assert (card.calibration.count, card.calibration.seed) == (20, 5)


@every_precision
def test_weights_start_at_multiples_of_sixteen_bytes(precision: Precision, exported: dict[Precision, Path]) -> None:
    content = exported[precision].read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    starts = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        field = buffer._tab.Offset(4)
        if buffer.DataLength():
            starts.append(buffer._tab.Vector(field))
    assert len(starts) > 50
    assert {start % WEIGHTS_START_AT for start in starts} == {0}


# ---- rejections


def test_a_file_that_fails_its_check_does_not_get_its_name(
    exported: dict[Precision, Path], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "FLOAT32_TOLERANCE", -1.0)
    run = shutil.copytree(trained_run, tmp_path / "run")
    target = run / "export" / "digits-float32.tflite"
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    with pytest.raises(
        ExportError, match=r"differs from Keras by .* in probability, more than the allowed -1; nothing"
    ):
        export_run(run, ExportSettings(precisions=("float32",)))
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == b"the old one"


def test_a_float_network_with_an_int8_card_is_rejected(exported: dict[Precision, Path], tmp_path: Path) -> None:
    card = read_model_file(exported["dynamic"]).card
    assert card is not None
    card = card.model_copy(update={"precision": "int8"})
    content = exported["dynamic"].read_bytes()
    mislabeled = tmp_path / "model.tflite"
    mislabeled.write_bytes(append_associated_files(content[: content.index(b"PK\x03\x04")], card))
    image = keras.Input(IMAGE_SHAPE)
    with pytest.raises(ExportError, match="tensors of the int8 model are still float"):
        check.check_model_file(mislabeled, card, keras.Model(image, image), ())
    with pytest.raises(ExportError, match="the model card does not read back"):
        check.check_model_file(exported["dynamic"], card, keras.Model(image, image), ())


def test_photos_that_changed_since_training_are_rejected(trained_run: Path, digits: Path, tmp_path: Path) -> None:
    data = shutil.copytree(digits, tmp_path / "digits")
    run = shutil.copytree(trained_run, tmp_path / "run")
    _, record = read_run(run)
    moved = record.model_copy(update={"data": data})
    (run / "run.json").write_text(moved.model_dump_json())
    next((data / "train" / "4").iterdir()).unlink()
    with pytest.raises(DataError, match="are not those that digits was trained on: 1797 then, 1796") as caught:
        export_run(run, ExportSettings())
    assert "\n" not in str(caught.value)
    assert not (run / "export").exists()


def test_a_run_folder_of_another_version_is_rejected(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"format_version": 1}))
    with pytest.raises(InputError, match="a run folder of version 1, this edgecnn reads version 2") as caught:
        export_run(run, ExportSettings())
    assert "\n" not in str(caught.value)


# ---- the converter


def tiny_network() -> keras.Model:
    image = keras.Input(IMAGE_SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))


@pytest.mark.parametrize(("mean", "std"), [(127.0, 128.0), (128.0, 127.5)], ids=str)
@pytest.mark.parametrize("aware", [False, True], ids=["ptq", "qat"])
def test_every_backbone_s_normalization_becomes_the_int8_input(
    aware: bool, mean: float, std: float, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"mean": (mean,) * 3, "std": (std,) * 3})
    # Photos without black or white pixels: the scale must not be derived from them.
    images = list(np.clip(pixels(5), 40, 200))
    model = calibrated_model(tiny_network(), spec, images) if aware else tiny_network()
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(model, "int8", spec, () if aware else images))
    image = tensor_spec(open_interpreter(path, threads=1).get_input_details()[0])
    assert image.scale == pytest.approx(1 / std, rel=1e-6)
    assert image.zero_point == mean
    assert byte_table(spec, image) is None


def test_the_converter_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for precision in PRECISIONS:
        assert convert(tiny_network(), precision, SPEC, list(pixels(3)))[4:8] == b"TFL3"
    assert capfd.readouterr() == ("", "")


def test_normalization_returns_the_float32_input_of_the_network() -> None:
    spec = SPEC.model_copy(update={"mean": (127.0, 128.0, 0.0), "std": (128.0, 127.5, 255.0)})
    values = normalize(np.array([[[255, 128, 255], [0, 0, 0]]], np.uint8), spec)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[[1, 0, 1], [-127 / 128, -128 / 127.5, 0]]], rtol=1e-6)


# ---- pretrained


@pytest.fixture(scope="module")
def skimage_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write photos that come with scikit-image, some of them into a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "rocket", "retina", "camera", "chelsea", "coffee", "grass", "clock"):
        image = getattr(skimage.data, name)()
        path = folder / ("gray" if image.ndim == 2 else "") / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image if image.ndim == 2 else image[..., ::-1])
    return folder


def test_a_pretrained_int8_file_recognizes_photos(skimage_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "imagenet-int8.tflite"
    export_pretrained(
        "efficientnet_lite0",
        "int8",
        out,
        crop_fraction=1.0,
        calibration=skimage_photos,
        calibration_images=8,
        seed=0,
    )
    model_file = read_model_file(out)
    card = model_file.card
    assert card is not None
    assert (card.name, card.dataset, card.parent_sha256) == ("imagenet", None, None)
    assert card.calibration is not None
    assert card.calibration.count == 8
    classifier = Classifier(model_file, top_k=3)
    assert len(classifier.labels) == 1000
    assert byte_table(classifier.preprocess, classifier.input) is None
    cat, cup = (classifier.classify(read_image(skimage_photos / name)) for name in ("chelsea.png", "coffee.png"))
    assert {score.label for score in cat.top} <= {"tabby", "tiger cat", "Egyptian cat", "lynx"}
    assert cup.top[0].label == "espresso"
    assert first_difference(verify(model_file)) is None
    assert model_file.golden is not None and len(model_file.golden) < 20_000


def test_invalid_arguments_of_a_pretrained_export_are_rejected(tmp_path: Path, skimage_photos: Path) -> None:
    def export(name: str, out: str, calibration: Path | None) -> None:
        export_pretrained(
            name,
            "int8",
            tmp_path / out,
            crop_fraction=1.0,
            calibration=calibration,
            calibration_images=8,
            seed=0,
        )

    with pytest.raises(InputError, match=r"expected --out with the suffix \.tflite"):
        export("efficientnet_lite0", "model", skimage_photos)
    with pytest.raises(InputError, match=r"int8 needs calibration photos: pass a folder .* --calibration"):
        export("efficientnet_lite0", "model.tflite", None)
    with pytest.raises(InputError, match="did you mean 'efficientnet_lite0'"):
        export("efficientnet_light0", "model.tflite", skimage_photos)
    assert list(tmp_path.iterdir()) == []
