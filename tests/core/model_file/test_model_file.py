from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn.core.errors import ModelFileError
from edgecnn.core.labels import LabelMap, read_labels
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file, sha256_of
from edgecnn.core.model_file.tflite_metadata import build_metadata
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.classifier import Classifier
from tests.pixel_model import pixel_card, pixel_model, pixel_spec, write_pixel_model


def refusal(path: Path) -> str:
    """Return the one-line error for a file."""
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_parts_of_a_file_are_read(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 4, 5))
    card = pixel_card(4, 5)
    assert (model.name, model.card, model.preprocess) == ("pixels-uint8-4x5", card, card.preprocess)
    assert model.labels == LabelMap(card.labels)
    assert model.normalization == (card.preprocess.mean, card.preprocess.std)


def test_zipfile_reads_the_attached_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_pixel_model(tmp_path, 1, 1)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt", "edgecnn.json"]
        assert archive.read("labels.txt") == b"byte 0\nbyte 1\nbyte 2\n"
        assert ModelCard.model_validate_json(archive.read("edgecnn.json")) == pixel_card(1, 1)
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_equal_models_have_equal_bytes_and_keep_their_flatbuffer() -> None:
    flatbuffer, card = pixel_model(2, 2), pixel_card(2, 2)
    packed = append_associated_files(flatbuffer, card)
    assert packed == append_associated_files(flatbuffer, card)
    assert packed.startswith(flatbuffer)


def test_third_party_model_with_added_card_runs(data: Path, tmp_path: Path) -> None:
    models = data / "third_party_models"
    labels = read_labels(models / "imagenet_labels.txt")
    card = pixel_card(1, 1).model_copy(
        update={
            "labels": labels.names,
            "preprocess": PreprocessSpec(height=224, width=224, mean=(128,) * 3, std=(128,) * 3),
        }
    )
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(append_associated_files((models / "mobilenet_v2_1.0_224_quant.tflite").read_bytes(), card))
    model = read_model_file(path)
    assert (model.card, model.labels) == (card, labels)
    assert Classifier(model).classify(np.zeros((10, 10, 3), np.uint8)).best.score > 0


def test_only_the_stated_facts_of_a_third_party_model_are_read(data: Path) -> None:
    model = read_model_file(data / "third_party_models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite")
    assert (model.card, model.preprocess) == (None, None)
    assert model.normalization == ((127.5,), (127.5,))
    assert model.labels is not None
    assert (len(model.labels), model.labels[1]) == (1001, "tench, Tinca tinca")


def test_bare_model_has_no_facts(tmp_path: Path) -> None:
    path = tmp_path / "bare.tflite"
    path.write_bytes(pixel_model(2, 2))
    model = read_model_file(path)
    assert (model.card, model.labels, model.preprocess, model.normalization) == (None, None, None, None)


def test_overrides_of_the_user_win_over_the_file(tmp_path: Path) -> None:
    model = read_model_file(write_pixel_model(tmp_path, 1, 1))
    labels, spec = LabelMap(("r", "g", "b")), pixel_spec(1, 1).model_copy(update={"resize": "letterbox"})
    assert (model.with_overrides(labels, spec).labels, model.with_overrides(labels, spec).preprocess) == (labels, spec)
    assert model.with_overrides(None, None) == model


def test_file_truncated_anywhere_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = write_pixel_model(tmp_path, 4, 4).read_bytes()
    path = tmp_path / "short.tflite"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert ("truncated" if length >= 8 else "not a TFLite model") in refusal(path)


@pytest.mark.parametrize("lost", [1, 21, 22, 23, 100, 1000])
def test_error_for_missing_end_says_that_the_file_is_truncated(lost: int, tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 4, 4)
    path.write_bytes(path.read_bytes()[:-lost])
    assert "ends before its labels.txt: the file is truncated" in refusal(path)


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_truncated_third_party_model_is_refused(part: float, data: Path, tmp_path: Path) -> None:
    whole = (data / "third_party_models" / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    path = tmp_path / "model.tflite"
    path.write_bytes(whole[: int(part * len(whole))])
    assert "truncated" in refusal(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(8, 10**6), noise=st.binary(min_size=1, max_size=40))
def test_file_overwritten_anywhere_is_read_or_refused_in_one_line(position: int, noise: bytes, tmp_path: Path) -> None:
    content = bytearray(write_pixel_model(tmp_path, 4, 4).read_bytes())
    start = position % len(content)
    content[start : start + len(noise)] = noise
    path = tmp_path / "corrupted.tflite"
    path.write_bytes(content)
    try:
        text = repr(read_model_file(path))
    except ModelFileError as error:
        text = str(error)
    assert "\n" not in text


def write_repacked(path: Path, **files: str | bytes) -> Path:
    """Write a model with other attached files: `labels` for `labels.txt` and `card` for `edgecnn.json`."""
    card = pixel_card(1, 1)
    flatbuffer = pixel_model(1, 1, metadata=build_metadata("m", card.preprocess, 3, "Apache-2.0"))
    output = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr("labels.txt", files.get("labels", "byte 0\nbyte 1\nbyte 2\n"))
        archive.writestr("edgecnn.json", files.get("card", card.model_dump_json()))
    path.write_bytes(output.getvalue())
    return path


def test_labels_that_contradict_the_card_are_refused(tmp_path: Path) -> None:
    path = write_repacked(tmp_path / "m.tflite", labels="byte 0\nbyte 2\nbyte 1\n")
    assert "the labels of its metadata and of its model card differ" in refusal(path)


@pytest.mark.parametrize("labels", ["", "cat\n\ndog\n"])
def test_invalid_labels_are_refused(labels: str, tmp_path: Path) -> None:
    assert ": labels.txt: " in refusal(write_repacked(tmp_path / "m.tflite", labels=labels))


@pytest.mark.parametrize("card", [b"{}", b"", b"\xff", pixel_card(1, 1, ("a", "", "c")).model_dump_json()])
def test_invalid_card_is_refused(card: str | bytes, tmp_path: Path) -> None:
    assert "the model card is invalid" in refusal(write_repacked(tmp_path / "m.tflite", card=card))


def test_corrupted_attached_file_is_refused(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 1, 1)
    path.write_bytes(path.read_bytes().replace(b"byte 0\nbyte 1", b"byte 0\nbyte 7"))
    assert "its attached files are corrupted: Bad CRC-32 for file 'labels.txt'" in refusal(path)


def test_classifier_refuses_a_card_with_a_wrong_number_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(append_associated_files(pixel_model(2, 2), pixel_card(2, 2, ("cat", "dog"))))
    with pytest.raises(ModelFileError, match="has 12 outputs and 2 labels"):
        Classifier(read_model_file(path))


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" + bytes(50)])
def test_file_without_the_tflite_identifier_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    assert "is not a TFLite model: expected b'TFL3' at byte 4" in refusal(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "absent.tflite")
    assert "Is a directory; expected a .tflite file" in refusal(tmp_path)


def test_hash_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
