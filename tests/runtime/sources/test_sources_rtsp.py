from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgecnn.core.errors import SourceError
from edgecnn.runtime.live.feed import Feed
from edgecnn.runtime.sources import Backoff, SourceOptions, SurvivingSource, open_source, open_surviving
from tests.runtime.sources.rtsp_camera import RtspCamera, why_no_rtsp_camera


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    if reason := why_no_rtsp_camera():
        pytest.skip(reason)
    with RtspCamera() as camera:
        yield camera


def test_an_rtsp_camera_is_read_through_the_feed(camera: RtspCamera) -> None:
    source = open_source(camera.address, SourceOptions(stall_timeout_s=20))
    with Feed(source, stall_timeout_s=20) as feed:
        for count in range(1, 10):
            fed = feed.read()
            assert fed is not None and fed.frame.pixels.shape == (240, 320, 3)
            assert fed.frame.number + 1 == count + feed.dropped


def test_an_rtsp_server_that_dies_and_comes_back_is_reconnected(camera: RtspCamera) -> None:
    options = SourceOptions(stall_timeout_s=2)
    with open_surviving(camera.address, options, backoff=Backoff(first_s=0.1, longest_s=0.5)) as source:
        assert isinstance(source, SurvivingSource)
        assert source.read() is not None
        camera.die()
        camera.come_back()
        while source.status.reconnects == 0:
            assert source.read() is not None
        assert source.status.losses == 1


def test_an_unreachable_rtsp_camera_is_an_error_without_its_password(camera: RtspCamera) -> None:
    camera.die()
    with pytest.raises(SourceError, match=r"me:\*\*\*@127") as caught:
        open_source(camera.address.replace("rtsp://", "rtsp://me:s3cret@"))
    assert "s3cret" not in str(caught.value)
