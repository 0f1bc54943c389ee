"""How much photos are changed at random in training, and what `--augment` takes."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.base import Settings


class AugmentSettings(Settings):
    """How far each change may go. Every photo gets a random part of each, evenly spread between nothing and that.

    The source of what is done, and in which order, is `edgecnn.training.augmentation.augment`.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    flip: bool = True
    """Mirror half of the photos, left for right; off for digits, text and whatever has a handedness."""
    flip_vertical: bool = False
    """Mirror half of the photos upside down; for what is seen from above."""
    rotation_degrees: float = Field(default=0, ge=0, le=180)
    """Turned by so much, either way."""
    shift: float = Field(default=0, ge=0, le=0.5)
    """Moved by this share of a side, in each direction."""
    zoom: float = Field(default=0, ge=0, lt=1)
    """Magnified or made smaller by this share."""
    crop: float = Field(default=0.2, ge=0, lt=1)
    """The share of a side that is cut away; what is left is scaled up."""
    brightness: float = Field(default=0.15, ge=0, le=1)
    """Shift of all values, as a share of white, either way."""
    contrast: float = Field(default=0.2, ge=0, le=1)
    """Change of the distance from a photo's mean, as a share of it, either way."""
    saturation: float = Field(default=0, ge=0, le=1)
    """Change of the distance from gray, as a share of it, either way; at 1 from none to twice the color."""
    blur_px: float = Field(default=0, ge=0, le=10)
    """Standard deviation of a Gaussian blur, in pixels of the network's input."""
    noise: float = Field(default=0, ge=0, le=0.5)
    """Standard deviation of Gaussian noise, as a share of white."""
    jpeg_quality: int = Field(default=100, ge=1, le=100)
    """The lowest quality of JPEG compression; 100 leaves it out."""
    erasing: float = Field(default=0, ge=0, le=0.9)
    """Share of the area that a rectangle of one color covers."""


NO_AUGMENT: Final = AugmentSettings(flip=False, crop=0, brightness=0, contrast=0)
"""Photos as they are."""


def augment_args(settings: AugmentSettings) -> tuple[str, ...]:
    """What is on, as `KEY=VALUE`; behind `none`, `parse_augment` makes the same settings of it."""
    unchanged = NO_AUGMENT.model_dump()
    return tuple(
        f"{key}={json.dumps(value)}" for key, value in settings.model_dump().items() if value != unchanged[key]
    )


def parse_augment(text: str) -> AugmentSettings:
    """Reads `KEY=VALUE[,KEY=VALUE...]`, fields of `AugmentSettings` over its defaults.

    `none` switches everything off; as the first word of several it is what the others are set over. Raises
    `InputError`.
    """
    words = [word.strip() for word in text.split(",")]
    fields: dict[str, Any] = {}
    if words[0] == "none":
        fields = NO_AUGMENT.model_dump()
        words = words[1:]
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        if key not in AugmentSettings.model_fields:
            raise UnknownName("augmentation", key, AugmentSettings.model_fields)
        if not equals:
            raise InputError(f"expected --augment as KEY=VALUE, got {word!r}; give {key} a value, such as {key}=0")
        fields[key] = value
    try:
        return AugmentSettings.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--augment {first['loc'][0]}: {first['msg'].lower()}, got {first['input']}") from None
