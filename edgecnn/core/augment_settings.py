"""How much photos are changed at random in training, and what `--augment` takes."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from edgecnn.core.base_settings import Settings
from edgecnn.core.errors import InputError, UnknownName


class AugmentSettings(Settings):
    """The strength of each change: how far it may go at most, every photo being changed by a random part of it."""

    model_config = ConfigDict(allow_inf_nan=False)

    flip: bool = True
    """Mirror half of the photos, left for right; off for digits, text and whatever has a handedness."""
    crop: float = Field(default=0.2, ge=0, lt=1)
    """The share of a side that is cut away; what is left is scaled up."""
    brightness: float = Field(default=0.15, ge=0, le=1)
    """Shift of all values, as a share of white."""
    contrast: float = Field(default=0.2, ge=0, le=1)
    """Change of the distance from the photo's mean, as a share of it."""


NO_AUGMENT: Final = AugmentSettings(flip=False, crop=0, brightness=0, contrast=0)
"""Photos as they are."""


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
