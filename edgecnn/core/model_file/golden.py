"""Golden vectors, `golden.json` in a model file: what it computed when it was exported, for any device to repeat.

The pictures are synthetic and travel as `(seed, height, width)`: each is made anew by the integer arithmetic below,
which asks nothing of a library's random numbers and is as easily written in C or JavaScript. All values are unsigned
32-bit integers that wrap around, `//` drops the remainder, `y` and `x` count pixels from 0 and `c` channels (0 is red).

    mix(n):       n ^= n >> 16;  n *= 0x7FEB352D;  n ^= n >> 15;  n *= 0x846CA68B;  n ^= n >> 16
    byte(n, c):   (n >> 8 * c) & 255
    color(k, c): byte(mix(4 * seed + k + 1), c)

    The picture is 3 x 3 patches; (3 * y // height + 3 * x // width + seed) % 3 says of which kind a pixel's patch is:
    0, a slope:   (color(0, c) * (s - t) + color(1, c) * t) // s, t = x + y, s = max(1, height + width - 2)
    1, edges:     color(2, c) where (x // p + y // p) is even, color(3, c) where it is odd, p = 3 + seed % 13
    2, noise:     byte(mix(mix(seed) + y * width + x), c)

A slope shows how a resize rounds, edges where it samples, and noise whether it reads every pixel. `mix` is Chris
Wellons's lowbias32.

A hash is the SHA-256 of an array's values in C order (height, width, channel), little-endian, without a header.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgecnn.core.errors import ModelFileError, first_problem
from edgecnn.core.preprocess import Image

GOLDEN_FILE = "golden.json"
GOLDEN_VERSION: Final = 1

_SHA256 = Field(pattern=r"^[0-9a-f]{64}$")
# A device makes every picture in memory: a damaged number must not ask it for gigabytes.
_SIDE_PX = Field(gt=0, le=4096)
_MAX_VECTORS = 64


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kernels(_Record):
    """What computed a network's output.

    Integer kernels of one version round alike on every processor. Another package, another version (2.1.2 and 2.1.4 of
    ai-edge-litert round differently) or a delegate is another family.
    """

    package: str
    version: str
    delegate: str | None = None
    """The library that ran the network in place of the package's own kernels."""
    machine: str
    """Architecture, such as aarch64."""

    @property
    def family(self) -> tuple[str, str, str | None]:
        return (self.package, self.version, self.delegate)


class Ranked(NamedTuple):
    """A class, in JSON a list of the two."""

    class_index: int
    label: str


class GoldenVector(_Record):
    """A picture and what a model file makes of it, stage by stage."""

    seed: int = Field(ge=0, lt=2**32)
    height: int = _SIDE_PX
    width: int = _SIDE_PX
    frame_sha256: str = _SHA256
    """Of the picture, uint8 `[height, width, 3]`."""
    pixels_sha256: str = _SHA256
    """Of the picture after preprocessing, uint8 `[model height, model width, channels]`."""
    input_sha256: str = _SHA256
    """Of the input tensor, as stored: after normalization and quantization."""
    output: str
    """The output tensor as stored, little-endian, in base64."""
    top: tuple[Ranked, ...] = Field(min_length=1)
    """The best classes, best first."""


class Golden(_Record):
    """The content of `golden.json`."""

    format_version: Literal[1] = GOLDEN_VERSION
    kernels: Kernels
    network_sha256: str = _SHA256
    """Of the flatbuffer, the model file without its attached files."""
    output_dtype: Literal["float32", "uint8", "int8", "int16"]
    vectors: tuple[GoldenVector, ...] = Field(min_length=1, max_length=_MAX_VECTORS)

    @model_validator(mode="after")
    def _outputs_are_whole_values(self) -> Self:
        for vector in self.vectors:
            decode_output(vector.output, self.output_dtype)
        return self


def golden_from_json(content: bytes, where: str) -> Golden:
    """Parses golden vectors; `where` names the file in the `ModelFileError` that bad ones raise."""
    try:
        return Golden.model_validate_json(content)
    except ValidationError as error:
        raise ModelFileError(
            f"{where}: its golden vectors do not hold: {first_problem(error)}; export the model again"
        ) from None


def values_sha256(values: NDArray[Any]) -> str:
    """Hex digest of an array's values, the same on every machine."""
    return hashlib.sha256(_little_endian(values)).hexdigest()


def encode_output(stored: NDArray[Any]) -> str:
    """The form in which `GoldenVector.output` holds an output tensor's values."""
    return base64.b64encode(_little_endian(stored)).decode()


def decode_output(output: str, dtype: str) -> NDArray[Any]:
    """Inverse of `encode_output`. Raises `ValueError` for what is no base64 or no whole number of values."""
    little_endian = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(base64.b64decode(output, validate=True), little_endian).astype(dtype)


def synthetic_frame(seed: int, height: int, width: int) -> Image:
    """The picture that the head of this module defines, `[height, width, 3]` uint8 RGB."""
    colors = _bytes_of(_mix(_words(4 * seed + k + 1 for k in range(4))))
    y, x = np.arange(height, dtype=np.uint32)[:, None], np.arange(width, dtype=np.uint32)
    frame = np.empty((height, width, 3), np.uint8)
    for i, rows in enumerate(_thirds(height)):
        for j, columns in enumerate(_thirds(width)):
            down, across = y[rows], x[columns]
            kind = (i + j + seed) % 3
            if kind == 0:
                patch = _slope(down + across, max(1, height + width - 2), colors[0], colors[1])
            elif kind == 1:
                pitch_px = np.uint32(3 + seed % 13)
                patch = colors[2 + ((down // pitch_px + across // pitch_px) & np.uint32(1))]
            else:
                patch = _bytes_of(_mix(_mix(_words([seed])) + down * np.uint32(width) + across))
            frame[rows, columns] = patch
    return frame


_Words = NDArray[np.uint32]


def _words(values: Iterable[int]) -> _Words:
    return np.array([value % 2**32 for value in values], np.uint32)


def _slope(step: _Words, steps: int, start: _Words, end: _Words) -> _Words:
    step = step[..., None]
    blended: _Words = (start * (np.uint32(steps) - step) + end * step) // np.uint32(steps)
    return blended


def _mix(words: _Words) -> _Words:
    words = (words ^ (words >> np.uint32(16))) * np.uint32(0x7FEB352D)
    words = (words ^ (words >> np.uint32(15))) * np.uint32(0x846CA68B)
    return words ^ (words >> np.uint32(16))


def _bytes_of(words: _Words) -> _Words:
    """The three lowest bytes of each, along a new last axis."""
    return (words[..., None] >> np.array([0, 8, 16], np.uint32)) & np.uint32(255)


def _thirds(length: int) -> list[slice]:
    """Where `3 * position // length` is 0, 1 and 2."""
    bounds = [-(-third * length // 3) for third in range(4)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _little_endian(values: NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
