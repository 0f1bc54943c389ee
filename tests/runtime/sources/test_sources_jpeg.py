from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from edgecnn.core.preprocess import decode_image
from edgecnn.runtime.sources.jpeg_splitter import JpegSplitter
from tests.runtime.sources.loopback_camera import numbered_jpeg

SMALL = [numbered_jpeg(number, 16, 32) for number in range(3)]
HALF = SMALL[0][: len(SMALL[0]) // 2]

pieces = st.one_of(
    st.sampled_from([*SMALL, HALF, SMALL[1][:-2], SMALL[2][:5], b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd9"]),
    st.sampled_from(
        [b"--picture\r\nContent-Type: image/jpeg\r\n\r\n", b"\xff\xd8\xff\xe1\xff\xff", b"\xff\xda\x00\x02"]
    ),
    st.binary(max_size=60),
)
streams = st.lists(pieces, max_size=12).map(b"".join)


def split(stream: bytes, cuts: list[int], max_bytes: int) -> tuple[list[bytes], int]:
    splitter = JpegSplitter(max_bytes)
    pictures = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for begin, end in itertools.pairwise(edges):
        pictures += splitter.feed(stream[begin:end])
        assert splitter.buffered_bytes <= max_bytes
    return pictures, splitter.bad_pictures


@given(streams, st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from([16, 300, 700, 1 << 20]))
def test_pictures_do_not_depend_on_how_the_stream_is_divided(stream: bytes, cuts: list[int], max_bytes: int) -> None:
    whole = split(stream, [], max_bytes)
    assert split(stream, cuts, max_bytes) == whole
    assert split(stream, list(range(len(stream))), max_bytes) == whole
    assert all(len(picture) <= max_bytes for picture in whole[0])


@given(st.lists(st.binary(max_size=200), max_size=50))
def test_garbage_is_neither_buffered_nor_fatal(chunks: list[bytes]) -> None:
    splitter = JpegSplitter(max_bytes=100)
    for chunk in chunks:
        splitter.feed(chunk)
        assert splitter.buffered_bytes <= 100


@given(st.lists(st.sampled_from(SMALL), max_size=6), st.binary(max_size=40).filter(lambda junk: b"\xff" not in junk))
def test_complete_pictures_are_returned_unchanged(pictures: list[bytes], between: bytes) -> None:
    splitter = JpegSplitter()
    assert splitter.feed(between + between.join(pictures) + between) == pictures
    assert splitter.bad_pictures == 0
    assert splitter.buffered_bytes <= 2


@pytest.mark.parametrize("cut", [4, 25, len(HALF), len(SMALL[1]) - 2, len(SMALL[1]) - 1])
def test_a_truncated_picture_does_not_cost_another_one(cut: int) -> None:
    splitter = JpegSplitter()
    boundary = b"\r\n--picture\r\nContent-Type: image/jpeg\r\n\r\n"
    # A truncated length field is completed with bytes of the boundary and may be as large as this.
    tail = [SMALL[2], *[SMALL[0]] * 120]
    pictures = splitter.feed(SMALL[0] + SMALL[1][:cut] + boundary + boundary.join(tail))
    assert pictures == [SMALL[0], *tail]
    assert splitter.bad_pictures == 1


def test_a_thumbnail_does_not_end_the_picture_that_contains_it() -> None:
    exif = PillowImage.Exif()
    exif[0x010E] = "a camera"
    content = io.BytesIO()
    PillowImage.fromarray(np.zeros((64, 64, 3), np.uint8)).save(content, "JPEG", exif=exif.tobytes() + SMALL[0])
    assert JpegSplitter().feed(content.getvalue() * 2) == [content.getvalue()] * 2


def test_progressive_pictures_with_restart_markers_are_complete() -> None:
    rng = np.random.default_rng(0)
    noise = PillowImage.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    content = io.BytesIO()
    noise.save(content, "JPEG", progressive=True, restart_marker_blocks=2)
    pictures = JpegSplitter().feed(content.getvalue() * 2)
    assert pictures == [content.getvalue()] * 2
    assert decode_image(pictures[0]) is not None


def test_a_picture_that_never_ends_is_dropped() -> None:
    splitter = JpegSplitter(max_bytes=5000)
    for _ in range(100):
        assert splitter.feed(HALF[:-1] + b"\x00" * 1000) == []
        assert splitter.buffered_bytes < 5000
    assert splitter.bad_pictures > 1
    assert splitter.feed(b"\x00" * 5000 + SMALL[0]) == [SMALL[0]]


def test_a_picture_truncated_by_the_end_of_the_stream_is_bad() -> None:
    splitter = JpegSplitter()
    assert splitter.feed(SMALL[0]) == [SMALL[0]]
    splitter.end()
    assert splitter.bad_pictures == 0
    splitter.feed(HALF)
    splitter.end()
    assert (splitter.bad_pictures, splitter.buffered_bytes) == (1, 0)
