from __future__ import annotations

import threading
import tracemalloc

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.preprocess import Image
from edgecnn.runtime.sources import SourceOptions, open_source
from edgecnn.runtime.sources.pattern import PatternSource, pattern_number


def test_an_unpaced_pattern_yields_every_number() -> None:
    with open_source("pattern:160x120@0") as source:
        assert not source.live
        for number in range(300):
            frame = source.read()
            assert frame is not None and frame.number == pattern_number(frame.pixels) == number
            assert frame.pixels.shape == (120, 160, 3)


def test_the_number_survives_a_jpeg() -> None:
    source = PatternSource(480, 640, 0)
    source._next = 0xA5A5_1234
    frame = source.read()
    assert frame is not None
    jpeg = cv2.imencode(".jpg", frame.pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    assert pattern_number(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)) == 0xA5A5_1234


def test_a_paced_pattern_is_live_and_counts_dropped_frames() -> None:
    with open_source("pattern:64x64@1000") as source:
        assert source.live
        pause = threading.Event()
        for count in range(1, 20):
            frame = source.read()
            pause.wait(0.005)
            assert frame is not None and frame.number + 1 == count + source.dropped
        assert source.dropped > 0


def test_a_pattern_takes_its_size_and_rate_from_text_or_options() -> None:
    options = SourceOptions(height=240, width=320, fps=10)
    assert open_source("pattern").name == "pattern:640x480@30"
    assert open_source("pattern", options).name == "pattern:320x240@10"
    assert open_source("pattern:1280x720@0", options).name == "pattern:1280x720@0"
    assert open_source("pattern@5").name == "pattern:640x480@5"


@pytest.mark.parametrize("text", ["pattern:", "pattern:8x8", "pattern:99999x99999", "pattern@5000", "pattern:64x64@x"])
def test_an_invalid_pattern_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="expected a test pattern"):
        open_source(text)


def test_a_closed_pattern_yields_no_more_frames_and_does_not_wait() -> None:
    source = open_source("pattern:64x64@0.001")
    assert source.read() is not None
    threading.Timer(0.1, source.close).start()
    with pytest.raises(SourceLost, match="closed"):
        source.read()


def test_memory_use_stays_constant_over_many_frames() -> None:
    with open_source("pattern:64x64@0") as source:
        pixels: Image | None = None
        for round_ in range(2):
            for _ in range(3000):
                frame = source.read(pixels)
                assert frame is not None and (pixels is None or frame.pixels is pixels)
                pixels = frame.pixels
            if round_ == 0:
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert grown < 10_000
