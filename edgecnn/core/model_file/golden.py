"""Golden vectors, `golden.json` in a model file: results computed at export that any device can repeat.

The pictures are synthetic and stored as `(seed, height, width)`. The integer arithmetic below generates each one. It
does not depend on a library's random numbers and is as easy to write in C or JavaScript. All values are unsigned 32-bit
integers that wrap around, `//` drops the remainder, `y` and `x` count pixels from 0 and `c` counts channels (0 is red).

    mix(n):       n ^= n >> 16;  n *= 0x7FEB352D;  n ^= n >> 15;  n *= 0x846CA68B;  n ^= n >> 16
    byte(n, c):   (n >> 8 * c) & 255
    color(k, c):  byte(mix(4 * seed + k + 1), c)

    The picture is 3 x 3 patches; (3 * y // height + 3 * x // width + seed) % 3 is the kind of a pixel's patch:
    0, a slope:   (color(0, c) * (s - t) + color(1, c) * t) // s, t = x + y, s = max(1, height + width - 2)
    1, edges:     color(2, c) if (x // p + y // p) is even, color(3, c) if it is odd, p = 3 + seed % 13
    2, noise:     byte(mix(mix(seed) + y * width + x), c)

A slope reveals how a resize rounds, edges reveal where it samples, and noise reveals if it reads every pixel. `mix` is
Chris Wellons's lowbias32.

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
# A device generates every picture in memory: a corrupted number must not make it allocate gigabytes.
_SIDE_PX = Field(gt=0, le=4096)
_MAX_VECTORS = 64


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kernels(_Record):
    """The software that computed a network's output.

    The integer kernels of one version round identically on every processor. Another package, another version (2.1.2 and
    2.1.4 of ai-edge-litert round differently) or a delegate is another family.
    """

    package: str
    """Distribution that contains the interpreter."""
    version: str
    """Version of the package."""
    delegate: str | None = None
    """Library that ran the network instead of the package's own kernels; None if there was none."""
    machine: str
    """Architecture, such as aarch64."""

    @property
    def family(self) -> tuple[str, str, str | None]:
        """Package, version and delegate: kernels of one family round identically."""
        return (self.package, self.version, self.delegate)


class Ranked(NamedTuple):
    """A class; in JSON it is a list of the index and the label."""

    class_index: int
    label: str


class GoldenVector(_Record):
    """A picture and the results of a model file for it, stage by stage."""

    seed: int = Field(ge=0, lt=2**32)
    """Seed of the picture."""
    height: int = _SIDE_PX
    """Height of the picture in pixels."""
    width: int = _SIDE_PX
    """Width of the picture in pixels."""
    frame_sha256: str = _SHA256
    """Hash of the picture, uint8 `[height, width, 3]`."""
    pixels_sha256: str = _SHA256
    """Hash of the picture after preprocessing, uint8 `[model height, model width, channels]`."""
    input_sha256: str = _SHA256
    """Hash of the input tensor as stored, after normalization and quantization."""
    output: str
    """Output tensor as stored, little-endian, in base64."""
    top: tuple[Ranked, ...] = Field(min_length=1)
    """Best classes, best first."""


class Golden(_Record):
    """The content of `golden.json`."""

    format_version: Literal[1] = GOLDEN_VERSION
    kernels: Kernels
    """Software that computed the outputs."""
    network_sha256: str = _SHA256
    """Hash of the flatbuffer, which is the model file without its attached files."""
    output_dtype: Literal["float32", "uint8", "int8", "int16"]
    """Type of the output tensor's values."""
    vectors: tuple[GoldenVector, ...] = Field(min_length=1, max_length=_MAX_VECTORS)

    @model_validator(mode="after")
    def _outputs_are_whole_values(self) -> Self:
        for vector in self.vectors:
            decode_output(vector.output, self.output_dtype)
        return self


def golden_from_json(content: bytes, where: str) -> Golden:
    """Parse golden vectors.

    Args:
        content: JSON document.
        where: Name of the model file, for the error message.

    Returns:
        The golden vectors.

    Raises:
        ModelFileError: The document is not JSON or does not contain valid golden vectors.
    """
    try:
        return Golden.model_validate_json(content)
    except ValidationError as error:
        raise ModelFileError(
            f"{where}: its golden vectors are invalid: {first_problem(error)}; export the model again"
        ) from None


def values_sha256(values: NDArray[Any]) -> str:
    """Hash the values of an array.

    Args:
        values: Array of any shape and dtype.

    Returns:
        SHA-256 in hex, the same on every machine.
    """
    return hashlib.sha256(_little_endian(values)).hexdigest()


def encode_output(stored: NDArray[Any]) -> str:
    """Encode an output tensor for `GoldenVector.output`.

    Args:
        stored: Values of the tensor as stored, before dequantization.

    Returns:
        Little-endian values in base64.
    """
    return base64.b64encode(_little_endian(stored)).decode()


def decode_output(output: str, dtype: str) -> NDArray[Any]:
    """Decode an output tensor; the inverse of `encode_output`.

    Args:
        output: Little-endian values in base64.
        dtype: Type of the values.

    Returns:
        `[n]` values.

    Raises:
        ValueError: `output` is not base64, or its length is not a multiple of the size of a value.
    """
    little_endian = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(base64.b64decode(output, validate=True), little_endian).astype(dtype)


def synthetic_frame(seed: int, height: int, width: int) -> Image:
    """Generate the picture that the docstring of this module defines.

    Args:
        seed: Seed, 0 to 2**32 - 1.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        uint8 `[height, width, 3]`, RGB.
    """
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
    """Return the three lowest bytes of each word, along a new last axis."""
    return (words[..., None] >> np.array([0, 8, 16], np.uint32)) & np.uint32(255)


def _thirds(length: int) -> list[slice]:
    """Return the ranges of positions for which `3 * position // length` is 0, 1 and 2."""
    bounds = [-(-third * length // 3) for third in range(4)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _little_endian(values: NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
