from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.runtime.sources import SourceOptions, open_source
from edgecnn.runtime.sources.rpicam import rpicam_command
from tests.runtime.sources.fake_rpicam import install_rpicam, runs_of_rpicam
from tests.runtime.sources.loopback_camera import number_in, numbered_jpeg

PATIENT = SourceOptions(stall_timeout_s=20)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_running(program: Path) -> bool:
    return any(
        str(program).encode() in (process / "cmdline").read_bytes()
        for process in Path("/proc").glob("[0-9]*")
        if (process / "cmdline").exists()
    )


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_csi_camera_is_read_through_rpicam_vid_which_is_ended_afterwards(only_path: Path) -> None:
    install_rpicam(only_path)
    before = descriptors()
    with open_source("csi:1", SourceOptions(height=240, width=320, fps=15, stall_timeout_s=20)) as source:
        assert source.live and source.name == "csi:1"
        for _ in range(10):
            frame = source.read()
            assert frame is not None and number_in(frame.pixels) in range(8)
        assert is_running(only_path / "rpicam-vid")
    assert not is_running(only_path / "rpicam-vid")
    assert descriptors() == before
    [arguments] = runs_of_rpicam(only_path)
    assert arguments == rpicam_command("", 1, SourceOptions(height=240, width=320, fps=15))[1:]
    assert " ".join(arguments).startswith("--codec mjpeg -o - -t 0 --nopreview")


def test_the_older_name_of_the_program_works_too(only_path: Path) -> None:
    install_rpicam(only_path, name="libcamera-vid")
    with open_source("csi", PATIENT) as source:
        assert source.read() is not None


def test_the_error_for_a_csi_camera_contains_the_last_line_of_the_log(only_path: Path) -> None:
    install_rpicam(only_path, pictures=0, exit_message="ERROR: *** no cameras available ***\n\n")
    before = descriptors()
    with pytest.raises(SourceError, match=r"csi:0: ERROR: \*\*\* no cameras available \*\*\*; .*--list-cameras"):
        open_source("csi")
    assert descriptors() == before


def test_the_loss_of_a_csi_camera_is_reported_with_the_last_line_of_the_log(only_path: Path) -> None:
    install_rpicam(only_path, pictures=5, exit_message="ERROR: Device timeout detected")
    with open_source("csi", PATIENT) as source, pytest.raises(SourceLost, match="Device timeout detected"):
        while source.read():
            pass
    assert not is_running(only_path / "rpicam-vid")


def test_a_csi_camera_that_stalls_is_lost_and_its_program_killed(only_path: Path) -> None:
    install_rpicam(only_path, pictures=5, idle_s=600)
    with open_source("csi", SourceOptions(stall_timeout_s=0.5)) as source, pytest.raises(SourceLost, match="no frame"):
        while source.read():
            pass
    assert not is_running(only_path / "rpicam-vid")


def test_without_the_program_and_picamera2_the_error_says_what_to_install(only_path: Path) -> None:
    with pytest.raises(SourceError, match="sudo apt install rpicam-apps-lite"):
        open_source("csi")


class FakePicamera2:
    """The few picamera2 calls that are used."""

    def __init__(self, camera: int) -> None:
        self.calls = [f"open {camera}"]

    def create_video_configuration(self, **settings: Any) -> dict[str, Any]:
        return settings

    def configure(self, settings: dict[str, Any]) -> None:
        self.size = settings["main"]["size"]

    def start(self) -> None:
        self.calls.append("start")

    def capture_array(self, stream: str, wait: bool) -> FakePicamera2:
        return self

    def get_result(self, timeout: float) -> Any:
        if self.calls.count("frame") == 3:
            raise TimeoutError
        self.calls.append("frame")
        return np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


def test_picamera2_is_used_if_the_program_is_missing(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakePicamera2] = []

    def make(camera: int) -> FakePicamera2:
        made.append(FakePicamera2(camera))
        return made[-1]

    module = types.ModuleType("picamera2")
    module.Picamera2 = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    with open_source("csi:2", SourceOptions(height=120, width=160)) as source:
        for number in range(3):
            frame = source.read()
            assert frame is not None and frame.number == number and frame.pixels.shape == (120, 160, 3)
        with pytest.raises(SourceLost, match="no frame for 2 s"):
            source.read()
    assert made[0].calls == ["open 2", "start", "frame", "frame", "frame", "stop", "close"]


def test_a_fifo_is_read_until_its_writer_closes_it(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    before = descriptors()
    with open_source(str(fifo), PATIENT) as source:
        assert source.live

        def write() -> None:
            with open(fifo, "wb") as stream:
                for number in range(20):
                    stream.write(numbered_jpeg(number))
                    stream.flush()
                    time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        numbers = []
        with pytest.raises(SourceLost, match="no more frames"):
            while frame := source.read():
                numbers.append(number_in(frame.pixels))
        writer.join()
    assert numbers == sorted(set(numbers)) and numbers[-1] == 19
    assert descriptors() == before


def test_a_fifo_without_a_writer_is_lost_after_the_timeout(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    with (
        open_source(str(fifo), SourceOptions(stall_timeout_s=0.3)) as source,
        pytest.raises(SourceLost, match=r"for 0\.3 s"),
    ):
        source.read()


def test_close_ends_a_read_that_is_waiting_for_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    source = open_source(str(fifo), SourceOptions(stall_timeout_s=100))
    threading.Timer(0.2, source.close).start()
    with pytest.raises(SourceLost, match="was closed"):
        source.read()


READ_STDIN = """
from edgecnn.core.errors import EdgecnnError
from edgecnn.runtime.sources import SourceOptions, open_source
from tests.runtime.sources.loopback_camera import number_in
try:
    with open_source("-", SourceOptions(stall_timeout_s=20)) as source:
        print(source.live)
        while frame := source.read():
            print(frame.number, number_in(frame.pixels))
except EdgecnnError as error:
    print(type(error).__name__, error)
"""


def test_stdin_is_a_live_source_that_ends() -> None:
    stream = b"".join(numbered_jpeg(number) for number in range(5))
    done = subprocess.run(
        [sys.executable, "-c", READ_STDIN], input=stream, capture_output=True, timeout=100, check=True
    )
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "True" and lines[-1] == "4 4"


def test_no_picture_of_a_file_on_stdin_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "film.mjpg").write_bytes(b"".join(numbered_jpeg(number) for number in range(30)))
    with open(tmp_path / "film.mjpg", "rb") as film:
        done = subprocess.run(
            [sys.executable, "-c", READ_STDIN], stdin=film, capture_output=True, timeout=100, check=True
        )
    assert done.stdout.decode().splitlines() == ["False", *(f"{number} {number}" for number in range(30))]


def test_stdin_without_a_picture_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_STDIN], input=b"no picture", capture_output=True, timeout=100, check=True
    )
    assert "SourceError expected Motion-JPEG from stdin, got no picture" in done.stdout.decode()
