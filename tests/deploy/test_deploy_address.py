from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.deploy.address import Address, parse_address
from edgecnn.deploy.device_files import checked_name

USERS = st.from_regex(r"[a-z_][a-z0-9_.-]{0,20}", fullmatch=True)
HOSTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}", fullmatch=True) | st.ip_addresses(v=6).map(str)
PORTS = st.integers(1, 65535)


@given(address=st.builds(Address, HOSTS, st.none() | USERS, st.none() | PORTS))
def test_an_address_survives_writing_and_parsing(address: Address) -> None:
    assert parse_address(str(address)) == address


@given(text=st.text(max_size=40) | st.text(max_size=40).map("ssh://{}".format))
def test_no_text_becomes_an_option_of_ssh(text: str) -> None:
    try:
        address = parse_address(text)
    except InputError:
        return
    assert not address.host.startswith("-") and not (address.user or "").startswith("-")
    assert not any(character.isspace() for character in str(address))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://door", Address("door")),
        ("ssh://pi@door.local:2222", Address("door.local", "pi", 2222)),
        ("SSH://pi@[fe80::1%eth0]:22/", Address("fe80::1%eth0", "pi", 22)),
    ],
)
def test_usual_addresses_are_parsed(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pi@door", "expected a device's address such as ssh://pi@"),
        ("ssh://-oProxyCommand=x", "expected a device's address"),
        ("ssh://pi@door/home", "expected a device's address"),
        ("ssh://door:0", "expected a port from 1 to 65535"),
        ("ssh://door:99999", "expected a port from 1 to 65535"),
    ],
)
def test_an_invalid_address_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_address(text)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="must not contain a password") as caught:
        parse_address("ssh://pi:raspberry@door")
    assert "raspberry" not in str(caught.value)


@given(name=st.text(max_size=80))
def test_a_name_is_safe_in_paths_units_and_shells(name: str) -> None:
    try:
        checked_name(name)
    except InputError:
        return
    assert 0 < len(name) <= 64 and name.isascii() and name[0].isalnum()
    assert all(character.isalnum() or character in "-_." for character in name)


@pytest.mark.parametrize("name", ["", "..", "-x", "a/b", "a b", "a\n", "a@b", "$HOME", "ä", "x" * 65])
def test_invalid_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected a name"):
        checked_name(name)
