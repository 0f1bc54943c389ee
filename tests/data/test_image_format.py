from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.data.image_format import HEAD_BYTES, SUFFIXES, image_format, is_truncated
from tests.data.scenes import scene


def encoded(suffix: str, *options: int) -> bytes:
    written, content = cv2.imencode(suffix, scene(1, 40, 48), options)
    assert written
    return content.tobytes()


def with_preview(jpeg: bytes, preview: bytes) -> bytes:
    """Return a JPEG with another one in its metadata, as cameras write it."""
    return jpeg[:2] + b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview + jpeg[2:]


BASELINE = encoded(".jpg")
PROGRESSIVE = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
PREVIEWED = with_preview(BASELINE, encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 5))
COMPLETE = {"baseline": BASELINE, "progressive": PROGRESSIVE, "previewed": PREVIEWED, "png": encoded(".png")}
COMPLETE |= {"webp": encoded(".webp"), "bmp": encoded(".bmp")}
complete_files = pytest.mark.parametrize("content", COMPLETE.values(), ids=COMPLETE)


@pytest.mark.parametrize(
    ("suffix", "name"), [(suffix, name) for name in SUFFIXES if name != "HEIC" for suffix in SUFFIXES[name]]
)
def test_what_opencv_writes_is_recognized_by_its_content(suffix: str, name: str) -> None:
    assert image_format(encoded(suffix)[:HEAD_BYTES]) == name


def test_a_photo_of_an_iphone_is_recognized() -> None:
    assert image_format(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic") == "HEIC"


@pytest.mark.parametrize(
    "content", [b"", b"BM", b"BMW is a car maker, says this text", b"<html>", b"\0\0\0\x18ftypmp42"]
)
def test_a_file_that_is_not_an_image_has_no_format(content: bytes) -> None:
    assert image_format(content) is None
    assert not is_truncated(content)


@complete_files
def test_a_complete_file_is_not_truncated_whatever_follows_it(content: bytes) -> None:
    assert not is_truncated(content)
    assert not is_truncated(content + b"a film that the phone appends \xff\xd8")


@complete_files
@given(data=st.data())
def test_a_file_is_truncated_wherever_it_ends_early(content: bytes, data: st.DataObject) -> None:
    assert is_truncated(content[: data.draw(st.integers(HEAD_BYTES, len(content) - 1))])


@given(st.binary(max_size=200))
def test_any_bytes_after_a_signature_are_handled(tail: bytes) -> None:
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"BM"):
        assert is_truncated(head + tail) in {True, False}


def test_an_interrupted_download_is_truncated_although_it_decodes() -> None:
    stopped = BASELINE[:-2] + bytes(500)
    assert cv2.imdecode(np.frombuffer(stopped, np.uint8), cv2.IMREAD_COLOR) is not None
    assert is_truncated(stopped)
