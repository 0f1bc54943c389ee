from __future__ import annotations

import contextlib
import threading
import time
from typing import Self

import numpy as np
import pytest

from edgecnn.core.errors import SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.live.feed import CLOSE_TIMEOUT_S, FedFrame, Feed, NoFrameYet, close_feeds
from edgecnn.runtime.sources import open_source
from tests.runtime.sources.loopback_camera import LoopbackCamera, number_in


class Ticker:
    """A live source without a camera. It fills each picture with its number, as fast as it is read."""

    name = "ticker"
    live = True
    dropped = 0
    bad_pictures = 0
    unreadable = ()

    def __init__(self, frames: int | None = None) -> None:
        self.made: list[Image] = []
        self._number = 0
        self._frames = frames

    def read(self, reuse: Image | None = None) -> Frame | None:
        if self._number == self._frames:
            return None
        if reuse is None:
            self.made.append(reuse := np.empty((120, 160, 3), np.uint8))
        reuse.fill(self._number % 256)
        self._number += 1
        return Frame(reuse, self.name, self._number - 1, time.time(), time.monotonic_ns(), 0.0)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Silent(Ticker):
    """A live source that gives no frame until it is closed, and then ends."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def read(self, reuse: Image | None = None) -> Frame | None:
        self.over.wait(timeout=30)
        return None

    def close(self) -> None:
        self.over.set()


def test_a_slow_reader_gets_fresh_frames_and_lost_frames_are_counted() -> None:
    with (
        LoopbackCamera() as camera,
        open_source(camera.address) as source,
        Feed(source, stall_timeout_s=10) as feed,
    ):
        lags, numbers = [], []
        fed: FedFrame | None = None
        for _ in range(25):
            fed = feed.read(fed)
            assert fed is not None
            frame = fed.frame
            lags.append(camera.number - number_in(frame.pixels))
            numbers.append(frame.number)
            assert frame.number + 1 == len(numbers) + feed.dropped
            time.sleep(0.1)
    # Without dropping, about 45 pictures would be queued by now; the bound leaves room for a busy machine.
    assert max(lags[-5:]) < 20
    assert feed.dropped > 10
    assert numbers == sorted(set(numbers))


def test_no_array_is_written_while_it_is_read_and_three_arrays_are_enough() -> None:
    ticker = Ticker()
    with Feed(ticker, stall_timeout_s=10) as feed:
        fed: FedFrame | None = None
        for turn in range(300):
            fed = feed.read(fed)
            assert fed is not None
            if turn % 3 == 0:
                time.sleep(0.001)
            assert (fed.frame.pixels == fed.frame.number % 256).all()
    assert len(ticker.made) <= 3


def test_frames_that_are_not_handed_back_are_not_overwritten() -> None:
    with Feed(Ticker(), stall_timeout_s=10) as feed:
        kept = [feed.read() for _ in range(30)]
        time.sleep(0.01)
    for fed in kept:
        assert fed is not None and (fed.frame.pixels == fed.frame.number % 256).all()


def test_the_last_frame_is_delivered_before_the_end() -> None:
    with Feed(Ticker(frames=5), stall_timeout_s=10) as feed:
        time.sleep(0.2)
        last = feed.read()
        assert last is not None and last.frame.number == 4
        assert feed.dropped == 4
        assert feed.read() is None


def test_a_camera_that_disconnects_is_lost() -> None:
    with (
        LoopbackCamera() as camera,
        open_source(camera.address) as source,
        Feed(source, stall_timeout_s=30) as feed,
    ):
        assert feed.read() is not None
        camera.die()
        with pytest.raises(SourceLost, match="no more frames"):
            for _ in range(1000):
                feed.read()


def test_a_camera_that_stalls_is_lost_after_the_timeout() -> None:
    with (
        Feed(Silent(), stall_timeout_s=0.3) as feed,
        pytest.raises(SourceLost, match=r"ticker gave no frame for 0\.3 s"),
    ):
        feed.read()


def test_a_polling_reader_detects_the_stall_too() -> None:
    polls = 0
    with Feed(Silent(), stall_timeout_s=0.5) as feed, pytest.raises(SourceLost, match="no frame for"):
        while True:
            with contextlib.suppress(NoFrameYet):
                feed.read(timeout_s=0.1)
            polls += 1
    assert polls >= 2


def test_a_read_that_times_out_raises_no_frame_yet() -> None:
    with Feed(Silent(), stall_timeout_s=None) as feed:
        assert not feed.ready
        for timeout_s in (0, 0.05):
            with pytest.raises(NoFrameYet):
                feed.read(timeout_s=timeout_s)


def test_a_reader_can_wait_for_several_feeds_at_once() -> None:
    changed = threading.Condition()
    silent, ticker = Silent(), Ticker(frames=1)
    with (
        Feed(silent, stall_timeout_s=None, changed=changed) as quiet,
        Feed(ticker, stall_timeout_s=None, changed=changed) as busy,
    ):
        with changed:
            assert changed.wait_for(lambda: quiet.ready or busy.ready, timeout=30)
        fed = busy.read(timeout_s=30)
        assert fed is not None and fed.frame.number == 0
        assert busy.read(timeout_s=30) is None
        assert not quiet.ready
        silent.over.set()
        assert quiet.read(timeout_s=30) is None


def test_frames_skipped_by_the_source_count_as_dropped() -> None:
    with open_source("pattern:64x64@1000") as source, Feed(source, stall_timeout_s=10) as feed:
        for count in range(1, 10):
            fed = feed.read()
            assert fed is not None and fed.frame.number + 1 == count + feed.dropped
            time.sleep(0.005)


def test_frames_for_a_slow_reader_are_at_most_a_few_intervals_old() -> None:
    interval_s = 1 / 30
    with LoopbackCamera() as camera, Feed(open_source(camera.address), stall_timeout_s=20) as feed:
        ages_s = []
        for _ in range(20):
            fed = feed.read()
            assert fed is not None
            ages_s.append((time.monotonic_ns() - fed.frame.captured_ns) / 1e9)
            time.sleep(0.1)
    # Test the median, because single frames may be late on a busy machine. A backlog would make every frame old.
    assert sorted(ages_s)[len(ages_s) // 2] < 4 * interval_s


class Pages(Ticker):
    """A source like a file, in which unread frames wait."""

    live = False


def test_every_frame_of_a_file_is_delivered_to_a_slow_reader() -> None:
    pages = Pages(frames=40)
    with Feed(pages, stall_timeout_s=0.001) as feed:
        fed: FedFrame | None = None
        numbers = []
        while (fed := feed.read(fed)) is not None:
            assert (fed.frame.pixels == fed.frame.number).all()
            numbers.append(fed.frame.number)
            time.sleep(0.002)
    assert numbers == list(range(40))
    assert feed.dropped == 0
    assert len(pages.made) <= 3


def test_prepared_pixels_belong_to_their_frame_and_their_arrays_are_reused() -> None:
    made: list[Image] = []

    def halve(pixels: Image, out: Image | None) -> Image:
        if out is None:
            made.append(out := np.empty((60, 80, 3), np.uint8))
        out[:] = pixels[::2, ::2]
        return out

    with Feed(Ticker(), stall_timeout_s=10, prepare=halve) as feed:
        fed: FedFrame | None = None
        for turn in range(300):
            fed = feed.read(fed)
            assert fed is not None and fed.prepared is not None
            if turn % 3 == 0:
                time.sleep(0.001)
            assert (fed.prepared.pixels == fed.frame.number % 256).all()
            assert fed.prepared.spent_ms > 0
    assert len(made) <= 3


def test_a_feed_that_waits_for_its_reader_can_be_closed() -> None:
    feed = Feed(Pages(), stall_timeout_s=None)
    assert feed.read() is not None
    feed.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "feed of ticker"]


def test_several_stuck_feeds_close_in_the_time_of_one() -> None:
    class Stuck(Silent):
        def close(self) -> None:
            """Do not interrupt `read`, like OpenCV while it opens a camera."""

    stuck = [Stuck() for _ in range(4)]
    feeds = [Feed(source, stall_timeout_s=None) for source in stuck]
    started_s = time.monotonic()
    close_feeds(feeds)
    assert time.monotonic() - started_s < 2 * CLOSE_TIMEOUT_S
    for source in stuck:
        source.over.set()


def test_an_exception_in_the_thread_reaches_the_reader() -> None:
    class Broken(Ticker):
        def read(self, reuse: Image | None = None) -> Frame | None:
            raise ZeroDivisionError("a defect")

    with Feed(Broken(), stall_timeout_s=10) as feed, pytest.raises(ZeroDivisionError):
        feed.read()


def test_no_thread_remains_after_close() -> None:
    before = set(threading.enumerate())
    with LoopbackCamera() as camera, open_source(camera.address) as source:
        feed = Feed(source, stall_timeout_s=10)
        assert feed.read() is not None
        feed.close()
        feed.close()
    assert not [thread for thread in set(threading.enumerate()) - before if "feed" in thread.name]


def test_a_source_may_be_closed_while_the_thread_reads_it() -> None:
    with LoopbackCamera() as camera, open_source(camera.address) as source:
        feed = Feed(source, stall_timeout_s=10)
        assert feed.read() is not None
        source.close()
        with pytest.raises(SourceLost):
            for _ in range(1000):
                feed.read()
        feed.close()
