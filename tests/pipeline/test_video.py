from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.dataset import Example
from edgecnn.core.errors import DataError
from edgecnn.pipeline.video import HEIGHT, WIDTH, write_video
from edgecnn.runtime.sources import open_source
from tests.colors import write_color


def test_every_photo_is_a_frame_with_its_colors(tmp_path: Path) -> None:
    paths = [write_color(tmp_path / f"{channel}.png", channel) for channel in (0, 1, 2, 0)]
    video = tmp_path / "new" / "test.avi"
    write_video(video, [Example(path, 0, "") for path in paths])
    brightest = []
    with open_source(str(video)) as source:
        while frame := source.read():
            assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
            brightest.append(int(frame.pixels[HEIGHT // 2, WIDTH // 2].argmax()))
    assert brightest == [0, 1, 2, 0]


def test_a_photo_that_cannot_be_read_leaves_no_video(tmp_path: Path) -> None:
    good = Example(write_color(tmp_path / "a.png", 0), 0, "")
    with pytest.raises(DataError, match="no such image"):
        write_video(tmp_path / "test.avi", [good, Example(tmp_path / "absent.png", 0, "")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
