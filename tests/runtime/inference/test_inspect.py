from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgecnn.core.errors import ModelFileError
from edgecnn.core.precision import Precision
from edgecnn.runtime.inference.classifier import load_model
from edgecnn.runtime.inference.inspect import describe_model
from edgecnn.runtime.inference.interpreter import find_runtime
from tests.pixel_model import SCALE, ZERO_POINT, pixel_card, pixel_model, write_pixel_model


def test_a_model_with_a_card_is_described_completely(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 2, 3)
    description = describe_model(load_model(path))
    runtime = find_runtime()
    card = pixel_card(2, 3)
    quantization = {"scale": SCALE, "zero_point": ZERO_POINT}
    assert description == {
        "path": str(path),
        "size_bytes": len(path.read_bytes()),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "runtime": f"{runtime.package} {runtime.version}",
        "card": card.model_dump(mode="json"),
        "labels": list(card.labels),
        "preprocess": card.preprocess.model_dump(mode="json"),
        "inputs": [{"name": "picture", "shape": [1, 2, 3, 3], "dtype": "uint8", "quantization": quantization}],
        "outputs": [{"name": "bytes", "shape": [1, 18], "dtype": "uint8", "quantization": quantization}],
        "tensors": {"uint8": 2},
        "operators": {"RESHAPE": 1},
    }


def test_a_model_without_metadata_is_described_by_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "others.tflite"
    path.write_bytes(pixel_model(2, 2, "float32"))
    description = describe_model(load_model(path))
    assert [description[key] for key in ("card", "labels", "preprocess")] == [None] * 3
    assert description["inputs"][0]["quantization"] is None
    assert description["tensors"] == {"float32": 2}


def test_overrides_by_the_user_are_described(tmp_path: Path) -> None:
    path, labels = tmp_path / "others.tflite", tmp_path / "labels.txt"
    path.write_bytes(pixel_model(1, 1))
    labels.write_text("red\ngreen\nblue\n")
    description = describe_model(load_model(path, labels=labels, preprocess="squash,mean=127.5,std=127.5"))
    assert description["labels"] == ["red", "green", "blue"]
    assert description["preprocess"]["resize"] == "squash"


def test_an_int8_file_has_no_float_tensor_and_every_description_is_valid_json(exported: dict[Precision, Path]) -> None:
    descriptions = {precision: describe_model(load_model(path)) for precision, path in exported.items()}
    assert json.loads(json.dumps(descriptions)) == descriptions
    assert not [dtype for dtype in descriptions["int8"]["tensors"] if dtype.startswith("float")]
    assert descriptions["int8"]["inputs"][0]["dtype"] == "uint8"
    assert descriptions["int8"]["operators"]["CONV_2D"] > 10
    assert descriptions["float32"]["inputs"][0]["dtype"] == "float32"
    sizes = {precision: description["size_bytes"] for precision, description in descriptions.items()}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


def test_a_file_that_the_interpreter_cannot_run_is_rejected(tmp_path: Path) -> None:
    path = write_pixel_model(tmp_path, 1, 1)
    model = load_model(path)
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    with pytest.raises(ModelFileError, match="cannot run"):
        describe_model(model)
