from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import DataError, SourceError, SourceLost
from edgecnn.core.preprocess import Image
from edgecnn.runtime.sources import FrameSource, open_source
from edgecnn.runtime.sources.address import printable_address
from edgecnn.runtime.sources.capture import rgb_of
from tests.runtime.sources.loopback_camera import (
    HEIGHT_PX,
    WIDTH_PX,
    LoopbackCamera,
    number_in,
    write_numbered_video,
)


def write_image(path: Path, rgb: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((8, 12, 3), rgb[::-1], np.uint8)
    assert cv2.imwrite(str(path), picture)


def remaining_frames(source: FrameSource) -> list[tuple[str, int, Image]]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append((frame.source, frame.number, frame.pixels))
    return frames


def test_a_video_file_yields_every_frame_in_order(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.avi", 40)
    with open_source(str(tmp_path / "a.avi")) as source:
        assert not source.live
        frames = remaining_frames(source)
    assert [number for _, number, _ in frames] == list(range(40))
    assert [number_in(pixels) for _, _, pixels in frames] == list(range(40))
    assert {name for name, _, _ in frames} == {str(tmp_path / "a.avi")}


def test_an_array_is_reused_only_after_it_was_handed_back(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.avi", 3)
    with open_source(str(tmp_path / "a.avi")) as source:
        first = source.read()
        assert first is not None
        second = source.read()
        assert second is not None and not np.shares_memory(first.pixels, second.pixels)
        assert number_in(first.pixels) == 0
        third = source.read(first.pixels)
        assert third is not None and third.pixels is first.pixels
        assert number_in(second.pixels) == 1


def test_an_array_of_another_size_is_not_reused(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.avi", 1)
    other = np.zeros((5, 5, 3), np.uint8)
    with open_source(str(tmp_path / "a.avi")) as source:
        frame = source.read(other)
    assert frame is not None and frame.pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert not other.any()


def test_frames_are_rgb(tmp_path: Path) -> None:
    red = np.full((64, 64, 3), (0, 0, 255), np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64))
    writer.write(red)
    writer.release()
    with open_source(str(tmp_path / "red.avi")) as source:
        frame = source.read()
    assert frame is not None
    assert frame.pixels.dtype == np.uint8
    assert np.abs(frame.pixels.astype(int) - (255, 0, 0)).max() < 10


def test_a_folder_yields_its_images_sorted_and_named_by_their_paths(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png", (255, 0, 0))
    write_image(tmp_path / "a.bmp", (0, 255, 0))
    write_image(tmp_path / "cats" / "c.png", (0, 0, 255))
    write_image(tmp_path / ".hidden" / "d.png", (0, 0, 0))
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(str(tmp_path)) as source:
        frames = remaining_frames(source)
    assert [name for name, _, _ in frames] == [str(tmp_path / name) for name in ("a.bmp", "b.png", "cats/c.png")]
    assert [tuple(pixels[0, 0]) for _, _, pixels in frames] == [(0, 255, 0), (255, 0, 0), (0, 0, 255)]


def test_a_corrupted_image_in_a_folder_is_reported_and_skipped(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (1, 2, 3))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    write_image(tmp_path / "c.png", (1, 2, 3))
    with open_source(str(tmp_path)) as source:
        assert [(name, number) for name, number, _ in remaining_frames(source)] == [
            (str(tmp_path / "a.png"), 0),
            (str(tmp_path / "c.png"), 2),
        ]
        assert source.unreadable == [str(tmp_path / "b.png")]


def test_a_single_image_is_a_source_of_one_frame(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (1, 2, 3))
    with open_source(str(tmp_path / "a.png")) as source:
        assert [(name, number) for name, number, _ in remaining_frames(source)] == [(str(tmp_path / "a.png"), 0)]


def test_a_single_corrupted_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    with open_source(str(tmp_path / "a.png")) as source, pytest.raises(DataError, match=r"a\.png"):
        source.read()


def test_sources_that_cannot_be_opened_raise_one_line_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    for text, part in {
        str(tmp_path / "missing.mp4"): "no such source",
        "": "no such source",
        str(tmp_path / "empty"): "has no images",
        str(tmp_path / "noise.mp4"): "as a video",
        str(tmp_path / "labels.txt"): "text file",
        "97": "camera 97",
        "/dev/video97": "/dev/video97",
        "ftp://127.0.0.1/a": "http, https or rtsp",
        "http://127.0.0.1:1/stream": "no video from http://127.0.0.1:1/stream",
        "rtsp://127.0.0.1:1/stream": "no video from rtsp://127.0.0.1:1/stream",
    }.items():
        with pytest.raises(SourceError) as caught:
            open_source(text)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_video_without_a_frame_is_an_error_and_not_an_empty_run(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.avi", 2)
    content = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "truncated.avi").write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(SourceError, match=r"truncated\.avi"), open_source(str(tmp_path / "truncated.avi")) as source:
        source.read()


def test_frames_that_are_not_pictures_raise_an_error_with_the_reason() -> None:
    for invalid in (
        np.zeros((1, 614400), np.uint8),
        np.zeros((1, 640, 3), np.uint8),
        np.zeros((480, 640, 2), np.uint8),
    ):
        with pytest.raises(SourceError, match="height x width x 3"):
            rgb_of(invalid, "camera 0")
    with pytest.raises(SourceError, match="uint16"):
        rgb_of(np.zeros((480, 640, 3), np.uint16), "camera 0")


def test_a_network_camera_with_a_password_is_read_and_the_password_never_shown() -> None:
    with LoopbackCamera(user="admin", password="s3cret") as camera:
        address = camera.address.replace("http://", "http://admin:s3cret@")
        with open_source(address) as source:
            assert source.live
            frame = source.read()
            assert frame is not None and frame.pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
            assert frame.source == source.name == camera.address.replace("http://", "http://admin:***@")
            camera.die()
            with pytest.raises(SourceLost) as lost:
                remaining_frames(source)
        assert "s3cret" not in str(lost.value)


def test_a_wrong_password_is_not_shown_either() -> None:
    with LoopbackCamera(user="admin", password="right") as camera:
        with pytest.raises(SourceError) as caught:
            open_source(camera.address.replace("http://", "http://admin:wr0ng@"))
        assert "wr0ng" not in str(caught.value)
        assert "admin:***@" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "printable"),
    [
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("http://cam:8080/?fps=5", "http://cam:8080/?fps=5"),
        ("rtsp://me:pw@cam:554/1", "rtsp://me:***@cam:554/1"),
        ("rtsp://:pw@cam/1", "rtsp://:***@cam/1"),
        ("RTSP://me:p@w/d:x@cam/1", "RTSP://me:***@cam/1"),
        ("http://cam/?user=me&pwd=pw&fps=5", "http://cam/?user=me&pwd=***&fps=5"),
        ("http://cam/?access_token=pw#top", "http://cam/?access_token=***#top"),
    ],
)
def test_an_address_is_printed_without_its_secrets(address: str, printable: str) -> None:
    assert printable_address(address) == printable


def test_opencv_and_ffmpeg_print_nothing_about_sources_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    script = f"""
from edgecnn.core.errors import EdgecnnError
from edgecnn.runtime.sources import open_source
for text in ("97", "http://me:s3cret@127.0.0.1:1/", {str(tmp_path)!r}):
    try:
        open_source(text).read()
    except EdgecnnError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout + done.stderr == ""


def test_an_image_deleted_from_the_folder_is_skipped_too(tmp_path: Path) -> None:
    write_image(tmp_path / "photos" / "a.png", (1, 2, 3))
    with open_source(str(tmp_path / "photos")) as source:
        shutil.rmtree(tmp_path / "photos")
        assert source.read() is None
        assert source.unreadable == [str(tmp_path / "photos" / "a.png")]
