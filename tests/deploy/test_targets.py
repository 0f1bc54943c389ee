from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.deploy.address import Address
from edgecnn.deploy.target import targets_from

HOUSE = """\
[devices.door]
address = "ssh://pi@door.local"
profile = "raspberry_pi_4"
options = "--source csi"

[devices.garden]
address = "ssh://pi@10.0.0.7:2222"
"""


def write_inventory(folder: Path, text: str) -> Path:
    path = folder / "house.toml"
    path.write_text(text)
    return path


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        targets_from([], write_inventory(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_inventory_and_addresses_are_combined(tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path, HOUSE)
    hall, door, garden = targets_from(["ssh://hall"], inventory, profile="raspberry_pi_5", options="--source 0")
    assert (hall.label, hall.address) == ("ssh://hall", Address("hall"))
    assert (door.label, door.address) == ("door", Address("door.local", "pi"))
    assert (garden.label, garden.address) == ("garden", Address("10.0.0.7", "pi", 2222))
    assert [target.profile.name for target in (hall, door, garden) if target.profile] == [
        "raspberry_pi_5",
        "raspberry_pi_4",
        "raspberry_pi_5",
    ]
    assert [target.options for target in (hall, door, garden)] == ["--source 0", "--source csi", "--source 0"]


def test_empty_options_differ_from_missing_options(tmp_path: Path) -> None:
    (bare,) = targets_from(
        [], write_inventory(tmp_path, '[devices.a]\naddress = "ssh://a"\noptions = ""\n'), options="--fps 5"
    )
    assert bare.options == ""
    (without_options,) = targets_from(["ssh://a"], None)
    assert without_options.options is None and without_options.profile is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[devices.a]\nadress = "ssh://a"\n',
            "unknown key in house.toml [devices.a] 'adress': did you mean 'address'?",
        ),
        ('[device.a]\naddress = "ssh://a"\n', "did you mean 'devices'?"),
        ('[devices.a]\nprofile = "raspberry_pi_4"\n', "devices.a.address: field required"),
        ('[devices.a]\naddress = "a"\n', "expected a device's address"),
        ('[devices.a]\naddress = "ssh://a"\nprofile = "raspbery_pi_4"\n', "did you mean 'raspberry_pi_4'?"),
        ('[devices.a]\naddress = "ssh://a"\n[devices.b]\naddress = "ssh://a"\n', "ssh://a is given twice"),
        ("[devices]\n", "got none"),
        ("devices = [", "is not valid TOML"),
    ],
)
def test_an_invalid_inventory_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in error_of(tmp_path, text)


def test_a_password_in_an_inventory_appears_in_no_message(tmp_path: Path) -> None:
    for value in ('["--source rtsp://me:hidden@x"]', '"--source \'rtsp://me:hidden@x"'):
        assert "hidden" not in error_of(tmp_path, f'[devices.a]\naddress = "ssh://a"\noptions = {value}\n')
    (target,) = targets_from(["ssh://a"], None, options="--source rtsp://me:hidden@x")
    assert "hidden" not in repr(target)


def test_a_missing_inventory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such inventory"):
        targets_from([], tmp_path / "nothing.toml")


def test_no_devices_are_an_error() -> None:
    with pytest.raises(InputError, match="expected an address such as"):
        targets_from([], None)
