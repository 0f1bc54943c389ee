"""Live sources that are lost and come back, on their own and behind a feed."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.live.feed import FedFrame, Feed, NoFrameYet
from edgecnn.runtime.sources import (
    Backoff,
    FrameSource,
    SourceOptions,
    SourceStatus,
    SurvivingSource,
    open_source,
    open_surviving,
)
from tests.runtime.sources.fake_rpicam import install_rpicam, runs_of_rpicam
from tests.runtime.sources.loopback_camera import Fault, LoopbackCamera, number_in, numbered_jpeg

QUICK = Backoff(first_s=0.01, longest_s=0.02)
HASTY = SourceOptions(stall_timeout_s=0.3)
PATIENT = SourceOptions(stall_timeout_s=20)
FAULTS: list[Fault] = [
    "close",
    "stall",
    "half",
    "half and close",
    "garbage",
    "resize",
    "garbage for ever",
    "no boundary",
]
DEADLINE_S = 120


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)


def opened_surviving(text: str, options: SourceOptions = HASTY) -> SurvivingSource:
    source = open_surviving(text, options, backoff=QUICK)
    assert isinstance(source, SurvivingSource)
    return source


def frame_of(source: FrameSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


@contextlib.contextmanager
def no_leaks() -> Iterator[None]:
    """Check that no thread and no descriptor is left."""

    def owned() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = owned()
    yield
    wait_until(lambda: owned() <= before and owned()[1] <= before[1], f"{before} threads and descriptors as before")


def test_fifty_consecutive_faults_are_recovered_without_leaks() -> None:
    faults = list(itertools.islice(itertools.cycle(FAULTS), 50))
    # Connections that survive a fault are closed after it, so that every fault costs a reconnection.
    with no_leaks(), LoopbackCamera(per_second=100, faults=faults, closes_after_fault=True) as camera:
        with opened_surviving(camera.address) as source:
            numbers = [frame_of(source).number for _ in iter(lambda: source.status.reconnects < len(faults), False)]
            numbers.append(frame_of(source).number)
            status = source.status
        assert camera.faults_done == len(faults)
    assert numbers == sorted(set(numbers))
    assert (status.state, status.reconnects, status.losses) == ("connected", 50, 50)
    assert status.attempts == 50
    assert status.bad_pictures >= faults.count("half") + faults.count("half and close")
    assert status.last_error and "\n" not in status.last_error


def test_faults_behind_a_feed_leak_nothing_either() -> None:
    faults = list(itertools.islice(itertools.cycle(FAULTS), 16))
    with no_leaks(), LoopbackCamera(per_second=100, faults=faults, closes_after_fault=True) as camera:
        source = opened_surviving(camera.address)
        with Feed(source, stall_timeout_s=None) as feed:
            count = 0
            fed: FedFrame | None = None
            while source.status.reconnects < len(faults):
                with contextlib.suppress(NoFrameYet):
                    fed = feed.read(fed, timeout_s=0.05)
                    assert fed is not None
                    count += 1
                    assert fed.frame.number + 1 == count + feed.dropped


def test_a_server_that_restarts_on_its_port_is_reconnected() -> None:
    with LoopbackCamera() as camera, opened_surviving(camera.address, PATIENT) as source:
        last = frame_of(source).number
        for losses in range(3):
            camera.die()
            threading.Timer(0.3, camera.come_back).start()
            # Data sent before the server died may still be in transit.
            while source.status.reconnects == losses:
                frame = frame_of(source)
                assert frame.number > last
                last = frame.number
        assert source.status.attempts >= source.status.reconnects == 3


def test_the_status_of_a_lost_camera_gives_the_reason_without_the_password() -> None:
    with LoopbackCamera(user="me", password="s3cret") as camera:
        source = opened_surviving(camera.address_for("me:s3cret"))
        assert source.status == SourceStatus("connected", 0, 0, 0, 0, "")
        with Feed(source, stall_timeout_s=None) as feed:
            assert feed.read(timeout_s=DEADLINE_S) is not None
            camera.die()
            wait_until(lambda: source.status.attempts > 1, "two attempts")
            status = source.status
            assert (status.state, status.losses, status.reconnects) == ("reconnecting", 1, 0)
            assert "me:***@127.0.0.1" in status.last_error and "Connection refused" in status.last_error
            assert "s3cret" not in f"{status!r} {source!r} {feed!r} {threading.enumerate()}"
            with pytest.raises(NoFrameYet):
                while True:
                    feed.read(timeout_s=0.1)


def test_a_stall_is_reported_while_it_lasts() -> None:
    with (
        LoopbackCamera() as camera,
        opened_surviving(camera.address) as source,
        Feed(source, stall_timeout_s=None) as feed,
    ):
        assert feed.read() is not None
        camera.stalled.set()
        wait_until(lambda: source.status.state == "reconnecting", "the stall")
        assert "no frame for 0.3 s" in source.status.last_error
        camera.stalled.clear()
        wait_until(lambda: source.status.state == "connected", "the end of the stall")
        assert feed.read(timeout_s=DEADLINE_S) is not None


def test_close_ends_both_a_stall_and_a_wait_between_attempts() -> None:
    with no_leaks(), LoopbackCamera() as camera:
        camera.stalled.set()
        feed = Feed(opened_surviving(camera.address, SourceOptions(stall_timeout_s=600)), stall_timeout_s=None)
        time.sleep(0.2)
        feed.close()
    with no_leaks(), LoopbackCamera() as camera:
        waiting = open_surviving(camera.address, HASTY, backoff=Backoff(first_s=600, longest_s=600))
        assert isinstance(waiting, SurvivingSource)
        feed = Feed(waiting, stall_timeout_s=None)
        assert feed.read() is not None
        camera.die()
        wait_until(lambda: waiting.status.state == "reconnecting", "the loss")
        feed.close()


def test_a_source_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    with LoopbackCamera() as camera:
        camera.die()
        with pytest.raises(SourceError, match="Connection refused"):
            open_surviving(camera.address)


def test_sources_that_are_not_live_are_not_wrapped(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(numbered_jpeg(1))
    assert not isinstance(open_surviving(str(tmp_path)), SurvivingSource)
    assert not isinstance(open_surviving("pattern@0"), SurvivingSource)


def test_a_fifo_is_reopened_for_its_next_writer(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)

    def write(number: int) -> None:
        # A writer without a reader, as between two attempts, retries like a service would.
        while True:
            with contextlib.suppress(OSError), open(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb") as stream:
                stream.write(numbered_jpeg(number))
                return
            time.sleep(0.005)

    with no_leaks(), opened_surviving(str(fifo)) as source:
        for number in range(5):
            writer = threading.Thread(target=write, args=(number,))
            writer.start()
            assert number_in(frame_of(source).pixels) == number
            writer.join()
        # A writer that opens the FIFO before the reader has noticed the end of the last one costs no reconnection.
        assert source.status.state == "connected"


def test_the_program_of_a_csi_camera_is_restarted_when_it_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_rpicam(tmp_path / "bin", pictures=3, exit_message="ERROR: Device timeout detected")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with no_leaks():
        with opened_surviving("csi", PATIENT) as source:
            while source.status.reconnects < 3:
                frame_of(source)
            assert "Device timeout detected" in source.status.last_error
        assert len(runs_of_rpicam(tmp_path / "bin")) == source.status.attempts + 1


class Scripted:
    """A live source that follows a list: a number is the size of a frame, an error is raised, None is the end."""

    name = "scripted"
    live = True
    dropped = 0
    bad_pictures = 0
    unreadable = ()

    def __init__(self, *script: int | Exception | None) -> None:
        self._script = iter(script)
        self._number = itertools.count()
        self.closed = 0

    def read(self, reuse: Image | None = None) -> Frame | None:
        step = next(self._script, SourceLost("the script is over"))
        if isinstance(step, Exception):
            raise step
        return step and Frame(np.zeros((step, step, 3), np.uint8), self.name, next(self._number), 0.0, 0, 0.0)  # type: ignore[return-value]

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def surviving(*sources: Scripted | Exception) -> SurvivingSource:
    """Return a source that is reopened as one of `sources` after another; an exception fails the attempt."""
    remaining = iter(sources[1:])

    def reopen() -> FrameSource:
        opened = next(remaining)
        if isinstance(opened, Exception):
            raise opened
        return opened

    assert isinstance(sources[0], Scripted)
    return SurvivingSource(reopen, sources[0], backoff=Backoff(0, 0))


def test_frame_numbers_continue_after_losses_and_every_source_is_closed() -> None:
    scripts = Scripted(4, 4), Scripted(), Scripted(6, SourceError("invalid")), Scripted(8)
    refusal = SourceError("not\nyet")
    with surviving(scripts[0], scripts[1], refusal, scripts[2], refusal, refusal, scripts[3]) as source:
        frames = [frame_of(source) for _ in range(4)]
        status = source.status
    assert [(frame.number, len(frame.pixels)) for frame in frames] == [(0, 4), (1, 4), (2, 6), (3, 8)]
    assert status == SourceStatus("connected", losses=2, attempts=6, reconnects=2, bad_pictures=0, last_error="not yet")
    assert [script.closed for script in scripts] == [1, 1, 1, 1]


def test_a_source_that_ends_is_not_reopened() -> None:
    with surviving(Scripted(4, None)) as source:
        assert source.read() is not None
        assert source.read() is None


def test_an_unusable_first_frame_is_an_error() -> None:
    with surviving(Scripted(SourceError("flat frames"))) as source, pytest.raises(SourceError, match="flat frames"):
        source.read()


def test_a_programming_error_is_not_mistaken_for_a_lost_camera() -> None:
    with surviving(Scripted(4, ZeroDivisionError())) as source:
        assert source.read() is not None
        with pytest.raises(ZeroDivisionError):
            source.read()


def test_a_source_that_is_reopened_during_close_is_closed_too() -> None:
    late = Scripted(4)

    def reopen() -> FrameSource:
        source.close()
        return late

    source = SurvivingSource(reopen, Scripted(), backoff=Backoff(0, 0))
    assert source.read() is None
    assert late.closed >= 1


def test_delays_grow_to_the_limit_and_are_spread_from_zero() -> None:
    backoff = Backoff(first_s=0.5, longest_s=30)
    for failures, limit_s in ((0, 0.5), (1, 1), (3, 4), (6, 30), (10_000, 30)):
        delays = [backoff.delay_s(failures) for _ in range(300)]
        assert 0 <= min(delays) < limit_s * 0.1
        assert limit_s * 0.9 < max(delays) <= limit_s


def test_a_lost_camera_that_is_not_reopened_stays_lost() -> None:
    with (
        LoopbackCamera(faults=["close"]) as camera,
        open_source(camera.address, PATIENT) as source,
        pytest.raises(SourceLost, match="no more frames"),
    ):
        for _ in range(10):
            source.read()
