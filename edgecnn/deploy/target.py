"""Target devices of a command, given as addresses or listed in an inventory in TOML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.device_profile import DeviceProfile, find_profile
from edgecnn.core.toml_file import read_toml
from edgecnn.deploy.address import Address, parse_address
from edgecnn.deploy.service_options import checked_options


@dataclass(frozen=True, slots=True)
class Target:
    """A device and its own settings."""

    label: str
    """Name of the device in output about several devices."""
    address: Address
    profile: DeviceProfile | None = None
    options: str | None = field(default=None, repr=False)
    """Options of its service, as `checked_options` returns them; they may contain a password.

    None to keep those of the device.
    """


class InventoryDevice(Settings):
    """A table `[devices.NAME]`."""

    address: str
    """Address as on the command line."""
    profile: str | None = None
    """Name of a device profile."""
    options: str | None = None
    """Options of its service."""


class Inventory(Settings):
    """An inventory, with one table per device."""

    devices: dict[str, InventoryDevice]


def targets_from(
    addresses: Sequence[str], inventory: Path | None, *, profile: str | None = None, options: str | None = None
) -> tuple[Target, ...]:
    """Collect the target devices.

    Args:
        addresses: Addresses of devices.
        inventory: Inventory of more devices.
        profile: Name of the profile of devices for which the inventory has none.
        options: Options of the services for which the inventory has none.

    Returns:
        The devices, those from `addresses` first.

    Raises:
        InputError: There is no device, one is given twice, or an address or an option is invalid.
    """
    given = [InventoryDevice(address=address) for address in addresses]
    listed = read_inventory(inventory).devices if inventory else {}
    devices = [*((device.address, device) for device in given), *listed.items()]
    if not devices:
        raise InputError("expected an address such as ssh://pi@door.local, or --inventory FILE, got none")
    targets = tuple(_target(label, device, profile, options) for label, device in devices)
    for number, target in enumerate(targets):
        if target.address in (other.address for other in targets[:number]):
            raise InputError(f"{target.address} is given twice: name each device once")
    return targets


def read_inventory(path: Path) -> Inventory:
    """Read an inventory.

    Args:
        path: TOML file.

    Returns:
        The inventory.

    Raises:
        InputError: The file is missing or invalid. The message repeats no value, since one may contain a password.
    """
    document = read_toml(path, "inventory")
    try:
        return Inventory.model_validate(document)
    except ValidationError as error:
        # A misspelled key also counts as missing: report the misspelling.
        first = min(error.errors(include_input=False), key=lambda problem: problem["type"] != "extra_forbidden")
        *table, key = map(str, first["loc"])
        if first["type"] == "extra_forbidden":
            where = f"{path.name} [{'.'.join(table)}]" if table else path.name
            raise UnknownName(f"key in {where}", key, (InventoryDevice if table else Inventory).model_fields) from None
        raise InputError(f"{path}: {'.'.join([*table, key])}: {first['msg'].lower()}") from None


def _target(label: str, device: InventoryDevice, profile: str | None, options: str | None) -> Target:
    name = device.profile or profile
    own_options = options if device.options is None else device.options
    return Target(
        label=label,
        address=parse_address(device.address),
        profile=find_profile(name) if name else None,
        options=None if own_options is None else checked_options(own_options),
    )
