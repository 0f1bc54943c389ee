"""Mistakes of a user lead to one clear line and status 1, and leave no incomplete file."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from edgecnn.core.model_file.model_file import append_associated_files, read_model_file
from edgecnn.core.precision import Precision
from edgecnn.core.run.run_folder import RunFolder
from tests.cli.commands import Outcome, finish, refusal, run_apart, run_here, start
from tests.colors import COLORS, write_color, write_color_photos

NOT_AN_IMAGE = b"not a picture"
NO_NETWORK = "http://127.0.0.1:9"
"""Address of a proxy that does not exist."""


def train(data: Path, run: Path, *options: object) -> Outcome:
    return run_here("train", data, "--out", run, "--height", 32, "--epochs", 1, *options)


def flatbuffer_of(path: Path) -> bytes:
    """Return the content of a model file without its attached files."""
    with zipfile.ZipFile(path) as archive:
        return path.read_bytes()[: min(entry.header_offset for entry in archive.infolist())]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with three photos of each color, which tests may change."""
    return write_color_photos(tmp_path / "photos", 3)


def test_a_missing_folder_is_reported(color_model: Path, tmp_path: Path) -> None:
    absent, run = tmp_path / "absent", tmp_path / "run"
    expected = f"no such folder: {absent}; expected a folder of class folders with photos in them"
    assert refusal("train", absent, "--out", run) == expected
    assert refusal("evaluate", color_model, absent) == expected
    assert not run.exists()


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refusal("train", tmp_path / "empty", "--out", tmp_path / "run")
    assert line == f"{tmp_path}/empty has no class folders; expected photos in {tmp_path}/empty/<class>/"
    assert not (tmp_path / "run").exists()


def test_a_folder_with_one_class_is_refused(photos: Path, tmp_path: Path) -> None:
    shutil.rmtree(photos / "green")
    shutil.rmtree(photos / "blue")
    line = refusal("train", photos, "--out", tmp_path / "run")
    assert line == f"{photos} has one class, 'red'; a classifier needs at least two"
    assert not (tmp_path / "run").exists()


def test_an_unreadable_photo_is_named_and_skipped_in_training(few_digits: Path, tmp_path: Path) -> None:
    data, run = shutil.copytree(few_digits, tmp_path / "data"), tmp_path / "run"
    broken = data / "train" / "1" / "broken.png"
    broken.write_bytes(NOT_AN_IMAGE)

    line = refusal("train", data, "--out", run, "--strict")
    assert line == f"1 of 67 photos cannot be decoded, the first is {broken}; remove or replace them"
    assert not run.exists()

    outcome = train(data, run)
    assert outcome.status == 0
    assert f"skipped, cannot be decoded: {broken}" in outcome.log
    assert "1 unreadable photos were skipped; --strict refuses them" in outcome.log
    assert json.loads((run / "run.json").read_text())["unreadable"] == [str(broken)]


def test_an_unreadable_photo_is_named_and_skipped_in_evaluation(color_model: Path, photos: Path) -> None:
    broken = photos / "red" / "broken.jpg"
    broken.write_bytes(NOT_AN_IMAGE)
    outcome = run_here("evaluate", color_model, photos, "--json")
    assert (outcome.status, json.loads(outcome.stdout)["n"]) == (0, 9)
    assert f"skipped, cannot be decoded: {broken}" in outcome.log
    assert "1 unreadable photos were skipped; --strict refuses them" in outcome.log
    line = refusal("evaluate", color_model, photos, "--strict")
    assert line == f"1 of 10 photos cannot be decoded, the first is {broken}; remove or replace them"


def test_classify_skips_unreadable_images(color_model: Path, tmp_path: Path) -> None:
    good = [write_color(tmp_path / f"{name}.png", channel) for channel, name in enumerate(COLORS)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(NOT_AN_IMAGE)
    outcome = run_here("classify", color_model, good[0], tmp_path / "absent.png", broken, *good[1:], "--json")
    assert outcome.status == 1
    assert [json.loads(line)["label"] for line in outcome.stdout.splitlines()] == list(COLORS)
    assert outcome.log == [
        f"skipped: no such image: {tmp_path}/absent.png",
        f"skipped: cannot decode {broken}: it is not an image, or is corrupted; remove or replace it",
        "error: 2 of 5 images could not be classified",
    ]


def test_classify_refuses_a_folder_without_images(color_model: Path, tmp_path: Path) -> None:
    line = refusal("classify", color_model, tmp_path)
    assert line == f"no images in {tmp_path}; expected files such as {tmp_path}/photo.jpg"


@pytest.mark.parametrize("command", ["inspect", "benchmark", "evaluate", "classify", "run"])
def test_a_missing_model_file_is_reported(command: str, tmp_path: Path) -> None:
    absent = tmp_path / "absent.tflite"
    photos = [write_color(tmp_path / "a.png", 0)] if command == "classify" else []
    assert refusal(command, absent, *photos) == f"no such model file: {absent}"


@pytest.mark.parametrize("command", ["inspect", "benchmark", "classify", "run"])
def test_a_truncated_model_file_is_reported(command: str, exported: dict[Precision, Path], tmp_path: Path) -> None:
    content = exported["int8"].read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(content[: len(content) // 2])
    photos = [write_color(tmp_path / "a.png", 0)] if command == "classify" else []
    line = refusal(command, cut, *photos)
    assert str(cut) in line
    assert "copy or export it again" in line


def test_a_card_with_the_wrong_number_of_labels_is_reported(exported: dict[Precision, Path], tmp_path: Path) -> None:
    source = exported["int8"]
    card = read_model_file(source).card
    assert card is not None
    path = tmp_path / "labels.tflite"
    path.write_bytes(append_associated_files(flatbuffer_of(source), card.model_copy(update={"labels": ("a", "b")})))
    line = refusal("classify", path, write_color(tmp_path / "a.png", 0))
    assert line == f"{path} has 10 outputs and 2 labels; use one label per output"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("absent.mp4", "no such source: absent.mp4; expected a camera number, csi, a file, a folder"),
        ("/dev/video99", "cannot open camera /dev/video99; check that /dev/video99 exists"),
        ("ftp://camera", "expected an address with http, https or rtsp, got ftp://camera"),
    ],
)
def test_a_missing_source_is_reported(source: str, expected: str, color_model: Path) -> None:
    assert refusal("run", color_model, "--source", source).startswith(expected)


def test_the_nearest_name_is_suggested_for_an_unknown_model(photos: Path, tmp_path: Path) -> None:
    expected = "unknown backbone 'efficientnet_lite9': did you mean 'efficientnet_lite"
    assert refusal("train", photos, "--out", tmp_path / "run", "--model", "efficientnet_lite9").startswith(expected)
    out = tmp_path / "m.tflite"
    assert refusal("export", "--pretrained", "efficientnet_lite9", "--float32", "--out", out).startswith(expected)
    assert not out.exists()


def test_a_width_without_published_weights_is_refused(photos: Path, tmp_path: Path) -> None:
    line = refusal("train", photos, "--out", tmp_path / "run", "--model", "mobilenet_v2", "--alpha", 0.4)
    assert "expected an alpha of mobilenet_v2" in line and line.endswith("got 0.4")


def test_an_option_out_of_range_is_named(photos: Path, tmp_path: Path) -> None:
    line = refusal("train", photos, "--out", tmp_path / "run", "--crop-fraction", 1.5)
    assert line == "--crop-fraction: input should be less than or equal to 1, got 1.5"


def test_missing_weights_are_reported(few_digits: Path, tmp_path: Path) -> None:
    weights = tmp_path / "absent.pth"
    outcome = train(few_digits, tmp_path / "run", "--weights", weights)
    assert outcome.status == 1
    assert outcome.errors == [outcome.log[-1]]
    assert str(weights) in outcome.log[-1]
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_downloaded_are_reported(
    few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("https_proxy", NO_NETWORK)
    monkeypatch.delenv("no_proxy", raising=False)
    outcome = train(few_digits, tmp_path / "run", "--model", "mobilenet_v2", "--alpha", 0.35)
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    assert outcome.status == 1
    assert outcome.errors == [outcome.log[-1]]
    assert f"the ImageNet weights {name} are not in {tmp_path}/keras/models" in outcome.log[-1]
    assert (
        f"download https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{name}" in outcome.log[-1]
    )
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.glob("keras/models/*"))


@pytest.mark.parametrize("command", ["qat", "export", "report"])
def test_a_folder_that_is_not_a_run_is_refused(command: str, tmp_path: Path) -> None:
    line = refusal(command, tmp_path)
    assert line.startswith(f"{tmp_path} is not a run folder: it has no run.json; make one with edgecnn train")


@pytest.mark.parametrize("command", ["qat", "export", "report"])
def test_a_run_of_another_version_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format_version": 99, "name": "later"}')
    line = refusal(command, tmp_path)
    assert line.startswith(f"{tmp_path} is a run folder of version 99, this edgecnn reads version 2")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_model_in_a_run_of_another_version_is_refused(run_with_models: RunFolder) -> None:
    record = json.loads(run_with_models.record_file.read_text())
    run_with_models.record_file.write_text(json.dumps(record | {"format_version": 99}))
    assert "is a run folder of version 99" in refusal("evaluate", run_with_models.model_file("digits", "int8"))


def test_an_existing_run_is_kept(few_digits: Path, trained_run: Path) -> None:
    before = (trained_run / "run.json").read_bytes()
    line = refusal("train", few_digits, "--out", trained_run)
    assert line == f"{trained_run} already contains a run; choose another --out, or add --force to replace it"
    assert (trained_run / "run.json").read_bytes() == before


def test_a_run_folder_that_cannot_be_created_is_reported(few_digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = train(few_digits, tmp_path / "file" / "run")
    assert outcome.status == 1
    (line,) = outcome.errors
    assert line.startswith(f"error: could not write {tmp_path}/file/run") and "Not a directory" in line


def test_an_export_needs_either_a_run_or_a_pretrained_model(tmp_path: Path) -> None:
    expected = "expected either a run folder or --pretrained MODEL"
    assert refusal("export") == expected
    assert refusal("export", tmp_path, "--pretrained", "efficientnet_lite0") == expected


def test_an_int8_file_of_a_pretrained_model_needs_photos(tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    line = refusal("export", "--pretrained", "efficientnet_lite0", "--int8", "--out", out)
    assert line == "int8 needs calibration photos: pass a folder of them with --calibration"


def test_a_class_that_the_model_lacks_is_refused(color_model: Path, photos: Path) -> None:
    (photos / "green").rename(photos / "grean")
    line = refusal("evaluate", color_model, photos)
    assert line == f"the folder 'grean' is not a class of {color_model}, did you mean 'green'?; rename or remove it"


def test_an_unknown_split_is_refused(color_model: Path, photos: Path) -> None:
    assert (
        refusal("evaluate", color_model, photos, "--split", "trian") == "unknown split 'trian': did you mean 'train'?"
    )


def test_an_error_in_a_separate_process_is_one_line(tmp_path: Path) -> None:
    outcome = run_apart("inspect", tmp_path / "absent.tflite")
    assert outcome == Outcome(1, "", f"error: no such model file: {tmp_path}/absent.tflite\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_stdout_on_a_full_disk_is_an_error(color_model: Path) -> None:
    for arguments in (["models"], ["models", "--json"], ["inspect", color_model]):
        with open("/dev/full", "w") as full:
            outcome = finish(start(*arguments, stdout=full))
        assert outcome.status == 1
        assert outcome.log == ["error: No space left on device"]
