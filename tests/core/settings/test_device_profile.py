from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.device_profile import (
    DeviceProfile,
    find_profile,
    profile_files,
    profile_of_board,
    read_profile,
    read_profiles,
)

SMALLEST = """
name = "mine"
title = "Mine"
architecture = "aarch64"
processor = "one"
cores = 1
threads = 1
memory_mb = [512]
"""


def write_profile(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_profile(write_profile(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_profiles_are_included() -> None:
    boards = ["raspberry_pi_3b_plus", "raspberry_pi_4", "raspberry_pi_5", "raspberry_pi_zero_2w"]
    assert [profile.name for profile in read_profiles()] == ["android_phone", *boards]


@pytest.mark.parametrize("path", profile_files(), ids=lambda path: path.stem)
def test_included_profile_is_named_like_its_file_and_is_consistent(path: Path) -> None:
    profile = find_profile(path.stem)
    assert profile.name == path.stem
    assert profile.threads <= profile.cores
    assert list(profile.memory_mb) == sorted(profile.memory_mb)
    if limits := profile.temperature:
        assert (limits.soft_celsius or 0) < limits.throttle_celsius < limits.limit_celsius


def test_published_latencies_state_their_source() -> None:
    for profile in read_profiles():
        for latency in profile.published:
            assert latency.source.startswith("https://") and latency.conditions


@pytest.mark.parametrize(
    ("board", "name"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry_pi_zero_2w"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberry_pi_3b_plus"),
        ("Raspberry Pi 4 Model B Rev 1.5", "raspberry_pi_4"),
        ("Raspberry Pi 400 Rev 1.0", "raspberry_pi_4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry_pi_5"),
        ("Raspberry Pi Zero W Rev 1.1", None),
        ("Raspberry Pi 3 Model B Rev 1.2", None),
        ("", None),
    ],
)
def test_board_is_identified_by_its_name_in_the_device_tree(board: str, name: str | None) -> None:
    profile = profile_of_board(board)
    assert (profile and profile.name) == name


def test_error_for_unknown_device_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match=r"unknown device 'rasberry_pi4': did you mean 'raspberry_pi_4'\?"):
        find_profile("rasberry_pi4")


def test_missing_facts_are_none_or_empty(tmp_path: Path) -> None:
    profile = read_profile(write_profile(tmp_path, SMALLEST))
    assert isinstance(profile, DeviceProfile)
    assert (profile.source, profile.delegate, profile.temperature) == (None, None, None)
    assert (profile.board_names, profile.published) == ((), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SMALLEST}memory = 3\n", "unknown key in mine.toml 'memory': did you mean 'memory_mb'?"),
        (SMALLEST.replace("cores = 1", "cores = 0"), "cores: Input should be greater than or equal to 1, got 0"),
        (SMALLEST.replace("[512]", "[]"), "memory_mb: Tuple should have at least 1 item after validation"),
        (
            f"{SMALLEST}[temperature]\nlimit = 3\n",
            "temperature.throttle_celsius: Field required, got {'limit': 3}",
        ),
        (
            f'{SMALLEST}[[published]]\nmodel = "m"\nlatency_ms = 1\nconditions = "c"\nsource = "a blog"\n',
            "published.0.source: String should match pattern '^https://', got 'a blog'",
        ),
        ("title", "is not valid TOML"),
    ],
)
def test_error_names_an_unknown_key_or_invalid_value(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(tmp_path, text)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such device profile: .*; edgecnn devices lists the included ones"):
        read_profile(tmp_path / "absent.toml")
