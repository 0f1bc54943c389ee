"""Pictures that the model was unsure of: selection, file names, and deletion of the oldest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import InputError, UnknownName, WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.core.images import read_image
from edgecnn.runtime.decision import UNKNOWN, UNKNOWN_LABEL, Decision, Event
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.outputs.uncertain import (
    UncertainFrames,
    Unsure,
    folder_name,
    is_ours,
    is_unsure,
    open_uncertain,
    parse_unsure,
    picture_name,
)
from edgecnn.runtime.region import parse_region
from edgecnn.runtime.sinks import CameraEvent, Result

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
"""About 10 kB as JPEG."""


class Camera(NamedTuple):
    name: str
    live: bool


CAMERAS = [Camera("camera 0", True), Camera("camera 1", True), Camera("photos", False)]


def a_result(
    *scores: float, label: str = "cat", camera: int = 0, at_s: float = 0.0, decided: int | None = None
) -> Result:
    frame = Frame(NOISE.copy(), f"camera {camera}", 0, 1700000000.25 + at_s, round(at_s * 1e9), 0.0)
    top = tuple(Score(label if index == 0 else "other", index, score) for index, score in enumerate(scores or (0.4,)))
    decision = None
    if decided is not None:
        current = Score(UNKNOWN_LABEL if decided == UNKNOWN else label, decided, top[0].score)
        decision = Decision(current, 0, current, np.array([0.5, 0.5], np.float32), ())
    return Result(frame, Prediction(top, StageLatency(0.0, 0.0, 0.0)), 0.0, 0, decision, camera)


def open_here(folder: Path, *, max_bytes: int = 10_000_000, every_s: float = 0.0) -> UncertainFrames:
    return open_uncertain(folder, cameras=CAMERAS, unsure="score=0.6", max_bytes=max_bytes, every_s=every_s)


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures in the order of their times."""
    return sorted(folder.rglob("*.jpg"), key=lambda path: path.name)


@pytest.mark.parametrize(
    ("text", "scores", "unsure"),
    [
        ("score=0.6", (0.59, 0.1), True),
        ("score=0.6", (0.6, 0.4), False),
        ("margin=0.2", (0.5, 0.31), True),
        ("margin=0.2", (0.5, 0.25), False),
        ("margin=0.2", (0.05, 0.0), True),
        ("score=0.6,margin=0.2", (0.55, 0.1), True),
        ("score=0.6, margin=0.2", (0.65, 0.5), True),
        ("score=0.6,margin=0.2", (0.7, 0.1), False),
        ("score=0", (0.0, 0.0), False),
    ],
)
def test_a_model_is_unsure_by_score_and_by_margin(text: str, scores: tuple[float, ...], unsure: bool) -> None:
    assert is_unsure(parse_unsure(text), a_result(*scores)) is unsure


@pytest.mark.parametrize(("decided", "unsure"), [(UNKNOWN, True), (0, False), (None, False)])
def test_a_picture_decided_to_be_unknown_is_unsure(decided: int | None, unsure: bool) -> None:
    assert is_unsure(Unsure(min_score=0.6), a_result(0.9, 0.05, decided=decided)) is unsure


@pytest.mark.parametrize("text", ["entropy=0.5", "score=0.6,entropy=0.5"])
def test_entropy_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InputError, match=r"results have no entropy; use for example score=0\.6"):
        parse_unsure(text)


@pytest.mark.parametrize("text", ["score=1.1", "margin=-0.1", "score=nan", "score=x", "score", ""])
def test_an_invalid_measure_or_number_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_unsure(text)


def test_the_right_name_is_suggested_for_a_misspelled_measure() -> None:
    with pytest.raises(UnknownName, match="did you mean 'margin'"):
        parse_unsure("margn=0.5")


def test_a_margin_needs_results_of_two_classes(tmp_path: Path) -> None:
    frames = open_uncertain(tmp_path, cameras=CAMERAS, unsure="margin=0.1", max_bytes=1000)
    with pytest.raises(InputError, match="use --top-k 2"):
        frames.wants(a_result(0.9))


def test_one_picture_per_camera_is_wanted_in_each_interval(tmp_path: Path) -> None:
    frames = open_here(tmp_path, every_s=1.0)
    wanted = [
        (at_s, camera)
        for at_s in (0.0, 0.5, 0.99, 1.0, 1.5, 2.0)
        for camera in (0, 1)
        if frames.wants(a_result(at_s=at_s, camera=camera)) == "picture"
    ]
    assert wanted == [(at_s, camera) for at_s in (0.0, 1.0, 2.0) for camera in (0, 1)]


def test_a_confident_result_is_not_wanted_and_does_not_start_an_interval(tmp_path: Path) -> None:
    frames = open_here(tmp_path, every_s=1.0)
    assert frames.wants(a_result(0.9, at_s=0.0)) == "nothing"
    assert frames.wants(a_result(0.1, at_s=0.1)) == "picture"


def test_every_picture_of_a_file_is_wanted(tmp_path: Path) -> None:
    frames = open_here(tmp_path, every_s=1.0)
    assert [frames.wants(a_result(at_s=number / 1000, camera=2)) for number in range(5)] == ["picture"] * 5


def test_a_picture_is_saved_unchanged_in_the_folder_of_its_class(tmp_path: Path) -> None:
    with QueuedOutput(open_here(tmp_path / "new" / "unsure"), capacity=10) as queued:
        result = a_result(0.414)
        result.frame.pixels[:] = (200, 30, 60)
        queued(result)
        queued.on_event(CameraEvent("camera 0", 0.0, Event("entered", Score("cat", 0, 0.9), 1, None)))
    assert queued.status.delivered == 2
    (path,) = pictures_in(tmp_path)
    assert path.parent == tmp_path / "new" / "unsure" / "cat"
    assert re.fullmatch(r"20231114T221320\.250000Z-camera-0-0\.41-[0-9a-f]{8}\.jpg", path.name)
    assert np.abs(read_image(path).astype(int) - (200, 30, 60)).max() <= 4
    assert not [name for name in os.listdir(path.parent) if name.startswith(".")]


def test_only_the_classified_region_is_saved(tmp_path: Path) -> None:
    region = parse_region("10,20,30,16")
    frames = open_uncertain(tmp_path, cameras=CAMERAS, unsure="score=0.6", max_bytes=10**6, region=region)
    frames.take(a_result())
    (path,) = pictures_in(tmp_path)
    saved = read_image(path)
    assert saved.shape == (16, 30, 3)
    assert np.abs(saved.mean(axis=(0, 1)) - NOISE[20:36, 10:40].mean(axis=(0, 1))).max() < 3


def test_training_accepts_the_folder(tmp_path: Path) -> None:
    labels = ["cat", "judge's robe, gown", "a/b", "..", "train", "val", "naïve", "🐈"]
    frames = open_here(tmp_path)
    for index, label in enumerate(labels * 2):
        frames.take(a_result(label=label, at_s=index))
    dataset = scan_dataset(tmp_path, strict=True)
    assert len(dataset.labels) == len(labels)
    assert sorted(dataset.labels) == sorted(folder_name(label) for label in labels)
    assert len(dataset.splits["train"]) == 16
    assert {"cat", "judge's robe, gown", "naïve", "🐈"} <= set(dataset.labels)


@given(st.text(max_size=400))
@example("")
@example("..")
@example("a/../../b")
@example("nul\x00")
@example("n" * 300)
@example("é" * 300)
@example("\udcff")
@example(".hidden ")
@example("train")
def test_every_label_has_a_valid_folder_name(label: str) -> None:
    name = folder_name(label)
    assert name == os.path.basename(name) and name not in ("", ".", "..")
    assert not name.startswith(".") and not name.endswith((".", " ")) and name == name.strip()
    assert name.isprintable() and len(name.encode()) <= 110
    assert not set(name) & set('<>:"/\\|?*')
    assert name not in ("train", "validation", "val", "test")
    # A valid name stays unchanged.
    assert folder_name(name) == name or len(name.encode()) > 100


@given(st.lists(st.text(alphabet="aA/\\:.\x00 é", max_size=4) | st.text(), max_size=20, unique=True))
def test_different_labels_have_different_folders(labels: list[str]) -> None:
    assert len({folder_name(label) for label in labels}) == len(labels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=st.text(max_size=200), source=st.text(max_size=200), score=st.floats(0, 1))
def test_pictures_with_any_label_and_camera_are_written_and_recognized(
    label: str, source: str, score: float, tmp_path: Path
) -> None:
    result = a_result(score, label=label)
    result = replace(result, frame=replace(result.frame, source=source))
    open_here(tmp_path).take(result)
    path = tmp_path / folder_name(label) / picture_name(result, folder_name(label))
    assert path.is_file()
    assert is_ours(path)
    assert not is_ours(tmp_path / "elsewhere" / path.name)
    assert not is_ours(path.with_name(f"my-{path.name}"))


def test_the_oldest_are_deleted_so_that_the_limit_always_holds(tmp_path: Path) -> None:
    frames = open_here(tmp_path, max_bytes=200_000)
    for number in range(100):
        frames.take(a_result(label=f"class {number % 3}", at_s=number))
        kept = pictures_in(tmp_path)
        assert sum(path.stat().st_size for path in kept) <= 200_000
        assert kept[-1].name == picture_name(a_result(at_s=number), f"class {number % 3}")
    assert 10 <= len(kept) < 100
    newest = [picture_name(a_result(at_s=number), f"class {number % 3}") for number in range(100)]
    assert [path.name for path in kept] == newest[-len(kept) :]


def test_pictures_of_an_earlier_run_are_counted_and_deleted_too(tmp_path: Path) -> None:
    for run in range(5):
        with closing(open_here(tmp_path, max_bytes=100_000)) as frames:
            for number in range(5):
                frames.take(a_result(label=f"class {run}", at_s=100 * run + number))
        assert sum(path.stat().st_size for path in pictures_in(tmp_path)) <= 100_000
    assert not (tmp_path / "class 0").exists()
    assert len(pictures_in(tmp_path / "class 4")) == 5


def test_files_that_others_created_or_moved_are_never_deleted(tmp_path: Path) -> None:
    first = open_here(tmp_path)
    for number in range(3):
        first.take(a_result(at_s=number))
    wrong, *_ = pictures_in(tmp_path)
    (tmp_path / "dog").mkdir()
    moved = wrong.rename(tmp_path / "dog" / wrong.name)
    deeper = tmp_path / "done" / "cat"
    deeper.mkdir(parents=True)
    (tmp_path / "cat" / "20000101T000000.jpg").write_bytes(NOISE.tobytes())
    (tmp_path / "notes.txt").write_text("mine")
    (deeper / moved.name).write_bytes(b"mine")
    frames = open_here(tmp_path, max_bytes=30_000)
    for number in range(30):
        frames.take(a_result(at_s=100 + number))
    assert moved.is_file()
    assert (deeper / moved.name).read_bytes() == b"mine"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "cat" / "20000101T000000.jpg").read_bytes() == NOISE.tobytes()
    assert sum(path.stat().st_size for path in (tmp_path / "cat").iterdir() if is_ours(path)) <= 30_000


def test_deleted_pictures_make_room_for_others(tmp_path: Path) -> None:
    frames = open_here(tmp_path, max_bytes=200_000)
    number = 0
    while len(pictures_in(tmp_path)) == number:
        frames.take(a_result(at_s=number))
        number += 1
    # The newest ones are deleted here, so the older ones do not have to be.
    before = pictures_in(tmp_path)
    for path in before[3:]:
        path.unlink()
    for later in range(8):
        frames.take(a_result(at_s=number + later))
    assert len(before) + 8 > number
    assert pictures_in(tmp_path)[:3] == before[:3]
    assert len(pictures_in(tmp_path)) == 11
    for path in pictures_in(tmp_path):
        path.unlink()
    (tmp_path / "cat").rmdir()
    frames.take(a_result(at_s=number + 8))
    assert len(pictures_in(tmp_path)) == 1


def test_an_empty_class_folder_is_deleted_because_training_would_refuse_it(tmp_path: Path) -> None:
    frames = open_here(tmp_path, max_bytes=50_000)
    frames.take(a_result(label="rare"))
    for number in range(1, 20):
        frames.take(a_result(at_s=number))
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]


def test_a_picture_larger_than_the_limit_is_an_error_and_nothing_is_deleted(tmp_path: Path) -> None:
    open_here(tmp_path).take(a_result())
    with pytest.raises(WriteError, match="exceed the 1000 allowed for all pictures; allow more"):
        open_here(tmp_path, max_bytes=1000).take(a_result(at_s=1))
    assert len(pictures_in(tmp_path)) == 1


def test_a_file_with_the_name_of_the_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"expected a folder for pictures, .* choose another") as caught:
            open_here(folder)
        assert "\n" not in str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_on_a_full_disk_every_picture_fails_until_there_is_space_again(small_disk: Path) -> None:
    frames = open_here(small_disk / "unsure")
    failed = []
    for number in range(60):
        if number == 50:
            for path in pictures_in(small_disk)[:5]:
                path.unlink()
        try:
            frames.take(a_result(at_s=number))
        except WriteError as error:
            failed.append(number)
            assert_disk_full(error)
    assert 5 < failed[0] < 50
    assert not set(failed) & {50, 51, 52}
    assert len(pictures_in(small_disk)) == 60 - len(failed) - 5
    for path in pictures_in(small_disk):
        assert read_image(path).shape == NOISE.shape
    assert not list(small_disk.rglob(".*"))


def assert_disk_full(error: WriteError) -> None:
    assert "No space left on device" in str(error) and "\n" not in str(error)


_WRITER = """
import sys
from pathlib import Path
from tests.runtime.outputs.test_uncertain import a_result, open_here
frames = open_here(Path(sys.argv[1]))
for number in range(10**9):
    frames.take(a_result(at_s=number))
    print(number, flush=True)
"""


def test_a_kill_leaves_no_incomplete_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            written = int(writer.stdout.readline())
        writer.kill()
    dataset = scan_dataset(tmp_path, strict=True)
    assert len(dataset.splits["train"]) > written
