"""Where frames come from: cameras, network streams, video files, folders of images."""

from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.images import ImageSource, images_in
from edgecnn.runtime.sources.opening import open_source
from edgecnn.runtime.sources.source import FrameSource

__all__ = ["CaptureSource", "FrameSource", "ImageSource", "images_in", "open_source"]
