"""Pictures to measure latency with."""

from __future__ import annotations

import cv2
import numpy as np

from edgecnn.bench.protocol import Protocol
from edgecnn.core.preprocess import Image

_FRAMES = 16


def frames_for(protocol: Protocol, seed: int = 0) -> list[Image]:
    """`synthetic_frames` of the protocol's size: more of them than fit a small processor's caches."""
    return synthetic_frames(protocol.frame_height, protocol.frame_width, _FRAMES, seed)


def synthetic_frames(height: int, width: int, count: int, seed: int) -> list[Image]:
    """`count` frames like a camera's: large soft shapes, a gradient, sensor noise. The same for the same seed.

    Latency does not depend on what is in a picture, but constant frames would flatter caches and branch prediction.
    """
    random = np.random.default_rng(seed)
    return [_synthetic_frame(height, width, random) for _ in range(count)]


def _synthetic_frame(height: int, width: int, random: np.random.Generator) -> Image:
    shapes = cv2.resize(random.uniform(0, 255, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(random.uniform(-40, 0), random.uniform(0, 40), width)[None, :, None]
    noise = random.normal(0, 4, (height, width, 3))
    return np.clip(shapes + light + noise, 0, 255).astype(np.uint8)
