"""Command line for an emulated device to try things on.

    python -m tests.emulated_pi up FOLDER [--board pi5] [--fill] [--card-mib 512]
    python -m tests.emulated_pi shell FOLDER [COMMAND ...]
    python -m tests.emulated_pi down FOLDER

`up` creates a device, or switches on the one in FOLDER. `--fill` puts the packages of the base install on it. FOLDER
may be deleted while the device is off.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.emulated_pi.boards import BOARDS
from tests.emulated_pi.card import HOSTNAME
from tests.emulated_pi.device import CARD_BYTES, Device, make_device
from tests.emulated_pi.failure import DeviceError
from tests.emulated_pi.layers import default_cache
from tests.emulated_pi.programs import why_not


def main() -> int:
    arguments = _arguments()
    try:
        if reason := why_not():
            raise DeviceError(f"no device can be emulated here: {reason}")
        device = _device(arguments)
        if arguments.verb == "up":
            device.start(stays=True)
            print(f"ssh -F {device.ssh_config} {HOSTNAME}")
        elif arguments.verb == "down":
            device.stop()
        else:
            os.execvp("ssh", ["ssh", "-F", str(device.ssh_config), HOSTNAME, *arguments.command])
    except DeviceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _device(arguments: argparse.Namespace) -> Device:
    if (arguments.folder / "device.json").exists():
        return Device(arguments.folder)
    if arguments.verb != "up":
        raise DeviceError(f"there is no device in {arguments.folder}: create one with `up`")
    return make_device(
        arguments.folder,
        default_cache(),
        board=arguments.board,
        filled=arguments.fill,
        card_bytes=arguments.card_mib << 20,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulated_pi", description="An emulated Raspberry Pi.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up, shell, _ = (_with_folder(verbs.add_parser(verb)) for verb in ("up", "shell", "down"))
    up.add_argument("--board", choices=BOARDS, default="pi4")
    up.add_argument("--fill", action="store_true")
    up.add_argument("--card-mib", type=int, default=CARD_BYTES >> 20)
    shell.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _with_folder(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("folder", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
