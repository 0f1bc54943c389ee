"""The devices that something is to be done to: given one by one, or listed in an inventory in TOML."""

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
    """A device, and what is particular to it."""

    label: str
    """What it is called where there are several."""
    address: Address
    profile: DeviceProfile | None = None
    options: str | None = field(default=None, repr=False)
    """What its service is told beyond the model, as `checked_options` returns it; there may be a password in it."""


class InventoryDevice(Settings):
    """A table `[devices.NAME]`."""

    address: str
    profile: str | None = None
    options: str | None = None


class Inventory(Settings):
    """An inventory: a table for each device."""

    devices: dict[str, InventoryDevice]


def targets_from(
    addresses: Sequence[str], inventory: Path | None, *, profile: str | None = None, options: str | None = None
) -> tuple[Target, ...]:
    """The devices at `addresses` and those of `inventory`, for which `profile` and `options` are what the latter leaves
    open. Raises `InputError`; none at all, and one that is there twice, are errors too."""
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
    """Reads an inventory. Raises `InputError`, which repeats no value: there may be a password in it."""
    document = read_toml(path, "inventory")
    try:
        return Inventory.model_validate(document)
    except ValidationError as error:
        # A key that is misspelled is missing, too.
        first = min(error.errors(include_input=False), key=lambda each: each["type"] != "extra_forbidden")
        *table, key = map(str, first["loc"])
        if first["type"] == "extra_forbidden":
            where = f"{path.name} [{'.'.join(table)}]" if table else path.name
            raise UnknownName(f"key in {where}", key, (InventoryDevice if table else Inventory).model_fields) from None
        raise InputError(f"{path}: {'.'.join([*table, key])}: {first['msg'].lower()}") from None


def _target(label: str, device: InventoryDevice, profile: str | None, options: str | None) -> Target:
    name = device.profile or profile
    wanted = options if device.options is None else device.options
    return Target(
        label=label,
        address=parse_address(device.address),
        profile=find_profile(name) if name else None,
        options=None if wanted is None else checked_options(wanted),
    )
