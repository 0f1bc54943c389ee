"""Settings of the random changes to training photos, and the parser of `--augment`."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.base import Settings


class AugmentSettings(Settings):
    """Maximum extent of each random change.

    Every photo gets a random amount of each change, uniformly distributed between nothing and this maximum.
    `edgecnn.training.augmentation.augment` defines the operations and their order.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    flip: bool = True
    """Mirror half of the photos left to right; switch it off for digits, text and anything with a handedness."""
    flip_vertical: bool = False
    """Mirror half of the photos upside down, for subjects seen from above."""
    rotation_degrees: float = Field(default=0, ge=0, le=180)
    """Maximum rotation in degrees, in either direction."""
    shift: float = Field(default=0, ge=0, le=0.5)
    """Maximum shift as a share of a side, in every direction."""
    zoom: float = Field(default=0, ge=0, lt=1)
    """Maximum change of scale as a share, larger or smaller."""
    crop: float = Field(default=0.2, ge=0, lt=1)
    """Maximum share of a side that is cut away; the rest is scaled up."""
    brightness: float = Field(default=0.15, ge=0, le=1)
    """Maximum shift of all values as a share of white, brighter or darker."""
    contrast: float = Field(default=0.2, ge=0, le=1)
    """Maximum relative change of the distance from the photo's mean, up or down."""
    saturation: float = Field(default=0, ge=0, le=1)
    """Maximum relative change of the distance from gray, up or down; 1 means from no color to twice the color."""
    blur_px: float = Field(default=0, ge=0, le=10)
    """Maximum standard deviation of a Gaussian blur, in pixels of the network's input."""
    noise: float = Field(default=0, ge=0, le=0.5)
    """Maximum standard deviation of Gaussian noise, as a share of white."""
    jpeg_quality: int = Field(default=100, ge=1, le=100)
    """Lowest quality of JPEG compression; 100 skips the compression."""
    erasing: float = Field(default=0, ge=0, le=0.9)
    """Maximum share of the area that a rectangle of one color covers."""


NO_AUGMENT: Final = AugmentSettings(flip=False, crop=0, brightness=0, contrast=0)
"""Leaves photos unchanged."""


def augment_args(settings: AugmentSettings) -> tuple[str, ...]:
    """Return the changes that are on as `KEY=VALUE` strings.

    `parse_augment` restores the same settings from them if they follow `none`.
    """
    unchanged = NO_AUGMENT.model_dump()
    return tuple(
        f"{key}={json.dumps(value)}" for key, value in settings.model_dump().items() if value != unchanged[key]
    )


def parse_augment(text: str) -> AugmentSettings:
    """Parse the value of `--augment`.

    Args:
        text: `KEY=VALUE[,KEY=VALUE...]`, fields of `AugmentSettings` that override its defaults. `none` alone switches
            every change off; in front of other fields it replaces the defaults that they override.

    Returns:
        The settings.

    Raises:
        InputError: A field is unknown, has no value or is out of range.
    """
    items = [item.strip() for item in text.split(",")]
    fields: dict[str, Any] = {}
    if items[0] == "none":
        fields = NO_AUGMENT.model_dump()
        items = items[1:]
    for item in items:
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in AugmentSettings.model_fields:
            raise UnknownName("augmentation", key, AugmentSettings.model_fields)
        if not equals:
            raise InputError(f"expected --augment as KEY=VALUE, got {item!r}; give {key} a value, such as {key}=0")
        fields[key] = value
    try:
        return AugmentSettings.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--augment {first['loc'][0]}: {first['msg'].lower()}, got {first['input']}") from None
