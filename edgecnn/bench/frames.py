"""Synthetic frames to measure latency with."""

from __future__ import annotations

import cv2
import numpy as np

from edgecnn.core.preprocess import Image
from edgecnn.core.records.benchmark import Protocol

_FRAMES = 16


def frames_for(protocol: Protocol, seed: int = 0) -> list[Image]:
    """Return frames of a protocol's size: more than fit into the caches of a small processor.

    Args:
        protocol: Protocol with the size of the frames.
        seed: Seed of the frames.

    Returns:
        uint8 HWC RGB images.
    """
    return synthetic_frames(protocol.frame_height, protocol.frame_width, _FRAMES, seed)


def synthetic_frames(height: int, width: int, count: int, seed: int) -> list[Image]:
    """Return frames like a camera's: large soft shapes, a gradient, sensor noise.

    Latency does not depend on the content of a frame, but constant frames would flatter caches and branch prediction.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        count: Number of frames.
        seed: The same seed gives the same frames.

    Returns:
        uint8 HWC RGB images.
    """
    random = np.random.default_rng(seed)
    return [_synthetic_frame(height, width, random) for _ in range(count)]


def _synthetic_frame(height: int, width: int, random: np.random.Generator) -> Image:
    shapes = cv2.resize(random.uniform(0, 255, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(random.uniform(-40, 0), random.uniform(0, 40), width)[None, :, None]
    noise = random.normal(0, 4, (height, width, 3))
    return np.clip(shapes + light + noise, 0, 255).astype(np.uint8)
