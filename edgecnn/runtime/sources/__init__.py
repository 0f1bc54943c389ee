"""Frame sources: cameras, network streams, video files and folders of images."""

from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.images import ImageSource, images_in
from edgecnn.runtime.sources.opening import open_source, open_surviving
from edgecnn.runtime.sources.options import SourceOptions, source_options
from edgecnn.runtime.sources.source import FrameSource
from edgecnn.runtime.sources.surviving import Backoff, SourceStatus, SurvivingSource

__all__ = [
    "Backoff",
    "CaptureSource",
    "FrameSource",
    "ImageSource",
    "SourceOptions",
    "SourceStatus",
    "SurvivingSource",
    "images_in",
    "open_source",
    "open_surviving",
    "source_options",
]
