"""Video of a run: its content and timing, and failures to write it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.core.preprocess import Image
from edgecnn.runtime.decision import Event
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.outputs.recording import fit_into, open_recording
from edgecnn.runtime.outputs.video_time import VideoTime, step_video
from edgecnn.runtime.sinks import CameraEvent, Result

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
every_suffix = pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])


class Camera(NamedTuple):
    name: str = "camera 0"
    live: bool = True


LIVE, VIDEO = Camera(), Camera("video.mp4", live=False)


def a_result(
    at_s: float = 0.0,
    color: tuple[int, int, int] = RED,
    *,
    camera: int = 0,
    height: int = 120,
    width: int = 160,
    number: int = 0,
) -> Result:
    frame = Frame(np.full((height, width, 3), color, np.uint8), "camera", number, 0.0, round((500 + at_s) * 1e9), 0.0)
    return Result(frame, Prediction((Score("cat", 0, 0.9),), StageLatency(0.0, 0.0, 0.0)), 0.0, 0, camera=camera)


def frames_of(path: Path) -> list[Image]:
    """Read the frames of a video as RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, picture = capture.read()
        if not read:
            break
        frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False))
    capture.release()
    return frames


def color_at(frame: Image, row: int, column: int) -> tuple[int, int, int]:
    """Return the pure color closest to a pixel after a lossy codec."""
    red, green, blue = (255 if value > 127 else 0 for value in frame[row, column].tolist())
    return red, green, blue


def colors_of(path: Path) -> list[tuple[int, int, int]]:
    """Return the colors of the lower right corners, which no caption covers."""
    return [color_at(frame, -8, -8) for frame in frames_of(path)]


def test_a_picture_is_recorded_in_its_colors_with_a_caption(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[LIVE])) as recording:
        assert recording.wants(a_result()) == "picture"
        assert recording.name == f"recording {path}"
        recording.take(a_result())
    (frame,) = frames_of(path)
    assert frame.shape == (120, 160, 3)
    assert color_at(frame, -8, -8) == RED
    assert frame[:16, :80].max(axis=2).min() < 50
    assert frame[:16, :80].min(axis=2).max() > 150


@every_suffix
def test_every_kind_of_file_plays_after_the_end(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a recording{suffix}"
    with QueuedOutput(open_recording(path, cameras=[VIDEO]), capacity=100) as queued:
        for number in range(40):
            queued(a_result(color=RED if number < 20 else BLUE))
        queued.on_event(CameraEvent(VIDEO.name, 0.0, Event("entered", Score("cat", 0, 0.9), 1, None)))
    assert colors_of(path) == [RED] * 20 + [BLUE] * 20
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 25
    assert queued.status.delivered == 41


def test_a_picture_of_a_slow_camera_is_shown_until_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[LIVE], fps=10)) as recording:
        for at_s, color in [(0.0, RED), (0.5, GREEN), (0.7, BLUE)]:
            recording.take(a_result(at_s, color))
    assert colors_of(path) == [RED] * 5 + [GREEN] * 2 + [BLUE]


def test_pictures_of_a_fast_camera_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[LIVE], fps=10)) as recording:
        for count in range(101):
            recording.take(a_result(count / 100, RED if count < 54 else BLUE))
    assert colors_of(path) == [RED] * 6 + [BLUE] * 5


def test_a_long_gap_is_shortened_to_a_second(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[LIVE], fps=10)) as recording:
        for at_s, color in [(0.0, RED), (60.0, GREEN), (60.5, BLUE)]:
            recording.take(a_result(at_s, color))
    assert colors_of(path) == [RED] * 10 + [GREEN] * 5 + [BLUE]


@given(
    gaps_ns=st.lists(st.integers(0, 3 * 10**9) | st.integers(0, 10**8), max_size=60),
    fps=st.floats(0.5, 240, allow_nan=False),
)
def test_video_time_is_the_time_of_the_camera_with_shortened_gaps(gaps_ns: list[int], fps: float) -> None:
    at_ns = 7_000_000_000
    time, repeats, shown = step_video(None, at_ns, fps)
    frames = 1
    played_ns = 0
    assert (repeats, shown) == (0, True)
    for gap_ns in gaps_ns:
        at_ns += gap_ns
        played_ns += min(gap_ns, 10**9)
        time, repeats, shown = step_video(time, at_ns, fps)
        frames += repeats + shown
        assert repeats >= 0
        assert repeats <= fps + 1
        assert time.frames == frames
        # The last frame is on the screen from this time for the duration of one frame.
        assert abs((frames - 1) * 1e9 / fps - played_ns) <= 1e9 / fps
        assert shown or repeats == 0


def test_a_picture_older_than_the_previous_one_is_skipped() -> None:
    before = VideoTime(start_ns=0, last_ns=10**9, frames=26)
    assert step_video(before, 10**9 - 5, 25) == (before, 0, False)


def test_every_result_of_a_file_is_a_frame_at_any_reading_speed(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    with closing(open_recording(path, cameras=[VIDEO])) as recording:
        for count in range(30):
            recording.take(a_result(count / 1000, RED if count < 10 else GREEN))
        recording.take(a_result(3600, BLUE))
    assert colors_of(path) == [RED] * 10 + [GREEN] * 20 + [BLUE]


def test_each_of_several_cameras_has_its_own_file(tmp_path: Path) -> None:
    cameras = [Camera("camera 0"), Camera("rtsp://door/1"), Camera("video.mp4", live=False)]
    with closing(open_recording(tmp_path / "out.avi", cameras=cameras)) as recording:
        for camera, color in enumerate((RED, GREEN, BLUE)):
            recording.take(a_result(0.0, color, camera=camera))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out-1.avi", "out-2.avi", "out-3.avi"]
    assert [colors_of(tmp_path / f"out-{number}.avi") for number in (1, 2, 3)] == [[RED], [GREEN], [BLUE]]


def test_a_change_of_size_leads_to_black_bars(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[VIDEO])) as recording:
        recording.take(a_result(color=RED))
        recording.take(a_result(color=GREEN, height=480, width=320))
        recording.take(a_result(color=BLUE, height=60, width=640))
    first, tall, wide = frames_of(path)
    assert first.shape == tall.shape == wide.shape == (120, 160, 3)
    assert [color_at(tall, -8, column) for column in (20, 80, 140)] == [BLACK, GREEN, BLACK]
    assert [color_at(wide, row, 80) for row in (60, 100)] == [BLUE, BLACK]


@every_suffix
@pytest.mark.parametrize(("height", "width"), [(121, 161), (120, 161), (2, 2), (1, 1), (7, 9), (4, 4)])
def test_pictures_with_odd_or_very_small_sides_can_be_recorded(
    height: int, width: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"out{suffix}"
    noise = np.random.default_rng(0)
    with closing(open_recording(path, cameras=[VIDEO])) as recording:
        for _ in range(10):
            result = a_result(height=height, width=width)
            result.frame.pixels[:] = noise.integers(0, 256, result.frame.pixels.shape)
            recording.take(result)
    frames = frames_of(path)
    assert len(frames) == 10
    assert frames[0].shape == (max(64, height - height % 2), max(64, width - width % 2), 3)


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.tuples(st.integers(1, 35), st.integers(1, 35)).map(lambda halves: (2 * halves[0], 2 * halves[1])),
)
def test_any_picture_fits_into_any_canvas(size: tuple[int, int], canvas_size: tuple[int, int]) -> None:
    canvas = np.full((*canvas_size, 3), 77, np.uint8)
    fit_into(canvas, np.full((*size, 3), (250, 10, 20), np.uint8))
    colors = {tuple(pixel) for pixel in canvas.reshape(-1, 3).tolist()}
    assert colors <= {(20, 10, 250), BLACK}
    filled = (canvas == (20, 10, 250)).all(axis=2)
    rows, columns = filled.any(axis=1), filled.any(axis=0)
    # The picture fills at least one direction and is centered in the other.
    assert rows.all() or columns.all()
    for line in (rows, columns):
        assert abs(int(line.argmax()) - int(line[::-1].argmax())) <= 1


@pytest.mark.parametrize("name", ["out.webm", "out", "out.avi.gz", ".mp4"])
def test_an_unknown_suffix_is_refused_and_the_choices_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a recording named \*\.avi, \*\.mp4, \*\.mkv, got"):
        open_recording(tmp_path / name, cameras=[LIVE])


@pytest.mark.parametrize("fps", [0, -1, 241, float("nan"), float("inf")])
def test_an_invalid_frame_rate_is_refused(fps: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frames per second"):
        open_recording(tmp_path / "out.avi", cameras=[LIVE], fps=fps)


@pytest.mark.parametrize("existing", ["out-1.avi", "out-2.avi"])
def test_an_existing_file_is_not_overwritten(existing: str, tmp_path: Path) -> None:
    (tmp_path / existing).write_text("the only copy")
    with pytest.raises(InputError, match=f"{existing}: it exists already; choose another name"):
        open_recording(tmp_path / "out.avi", cameras=[LIVE, VIDEO])
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "the only copy"


@every_suffix
def test_a_location_that_cannot_be_written_is_a_one_line_error(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check that its folder exists and may be written") as caught:
        open_recording(tmp_path / "missing" / f"out{suffix}", cameras=[LIVE])
    assert "\n" not in str(caught.value)


@every_suffix
def test_no_file_is_created_without_a_result(suffix: str, tmp_path: Path) -> None:
    open_recording(tmp_path / f"out{suffix}", cameras=[LIVE]).close()
    assert not any(tmp_path.iterdir())


def test_a_name_with_a_colon_is_not_interpreted_as_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_recording(Path("file:12.avi"), cameras=[LIVE])) as recording:
        recording.take(a_result())
    assert [path.name for path in tmp_path.iterdir()] == ["file:12.avi"]


def test_a_file_that_is_deleted_during_a_run_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    with closing(open_recording(path, cameras=[LIVE])) as recording:
        recording.take(a_result())
        path.unlink()
        with pytest.raises(WriteError, match="No such file"):
            recording.take(a_result(0.04))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@every_suffix
def test_nothing_is_written_to_a_nearly_full_disk_until_there_is_space_again(suffix: str, small_disk: Path) -> None:
    path = small_disk / f"out{suffix}"
    with closing(open_recording(path, cameras=[LIVE], fps=10)) as recording:
        recording.take(a_result(0.0, RED))
        (small_disk / "filler").write_bytes(bytes(20_000_000))
        for count in range(1, 50):
            with pytest.raises(WriteError, match="has less than 32 MB left; free some space"):
                recording.take(a_result(count / 10, GREEN))
        (small_disk / "filler").unlink()
        recording.take(a_result(5.0, BLUE))
    # The pause takes a second in the video, like any other.
    assert colors_of(path) == [RED] * 10 + [BLUE]


_LIMITED = """
import resource, signal, sys
from contextlib import closing
from pathlib import Path
import numpy as np
from edgecnn.core.errors import WriteError
from edgecnn.runtime.outputs.recording import open_recording
from tests.runtime.outputs.test_recording import LIVE, a_result
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
noise = np.random.default_rng(0)
with closing(open_recording(Path(sys.argv[1]), cameras=[LIVE])) as recording:
    for count in range(200):
        result = a_result(count / 25)
        result.frame.pixels[:] = noise.integers(0, 256, result.frame.pixels.shape)
        try:
            recording.take(result)
        except WriteError as error:
            print(count, error)
"""


@pytest.mark.skipif(cv2.__version__.startswith("4."), reason="OpenCV 4 does not report whether a picture was written")
@every_suffix
def test_pictures_that_cannot_be_written_are_errors(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    command = [sys.executable, "-c", _LIMITED, str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    first = int(lines[0].split()[0])
    assert 0 < first < 150
    assert lines == [
        f"{count} cannot write {path}: the file accepts no more pictures; record to another file"
        for count in range(first, 200)
    ]
