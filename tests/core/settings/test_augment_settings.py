from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.augment import NO_AUGMENT, AugmentSettings, augment_args, parse_augment


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_augment(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_fields_have_their_defaults() -> None:
    assert parse_augment("crop=0.3, flip=false") == AugmentSettings(crop=0.3, flip=False)


def test_none_switches_every_change_off() -> None:
    assert parse_augment("none") == NO_AUGMENT
    assert augment_args(NO_AUGMENT) == ()


@given(
    rotation_degrees=st.floats(0, 180),
    crop=st.floats(0, 0.99),
    jpeg_quality=st.integers(1, 100),
    flip=st.booleans(),
)
def test_arguments_of_enabled_changes_restore_the_settings(**fields: Any) -> None:
    settings = AugmentSettings(**fields)
    assert parse_augment(",".join(("none", *augment_args(settings)))) == settings


def test_arguments_of_the_defaults_are_short() -> None:
    assert augment_args(AugmentSettings()) == ("flip=true", "crop=0.2", "brightness=0.15", "contrast=0.2")


def test_only_the_fields_after_none_are_enabled() -> None:
    assert parse_augment("none,contrast=0.4") == NO_AUGMENT.model_copy(update={"contrast": 0.4})


def test_error_for_unknown_key_suggests_the_nearest_one() -> None:
    assert refusal("brigthness=0.1") == "unknown augmentation 'brigthness': did you mean 'brightness'?"
    with pytest.raises(UnknownName):
        parse_augment("crop=0.1,none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crop", "expected --augment as KEY=VALUE, got 'crop'; give crop a value, such as crop=0"),
        ("crop=1", "--augment crop: input should be less than 1, got 1"),
        ("crop=wide", "--augment crop: input should be a valid number, unable to parse string as a number, got wide"),
        ("contrast=-0.1", "--augment contrast: input should be greater than or equal to 0, got -0.1"),
        ("brightness=nan", "--augment brightness: input should be a finite number, got nan"),
        ("jpeg_quality=0", "--augment jpeg_quality: input should be greater than or equal to 1, got 0"),
        ("flip=often", "--augment flip: input should be a valid boolean, unable to interpret input, got often"),
    ],
)
def test_error_names_an_invalid_value(text: str, expected: str) -> None:
    assert refusal(text) == expected


@pytest.mark.parametrize("text", ["", ",", "=1", "crop=0.1,"])
def test_item_without_a_key_is_refused(text: str) -> None:
    assert "unknown augmentation ''" in refusal(text)
