"""A device that is this machine behind a separate sshd, with its own accounts, card and stand-ins for systemd.

It is the emulated Raspberry Pi without the emulation. Programs are the host's and run at the host's speed; their output
files go to the card. edgecnn is already installed: this checkout.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from edgecnn.deploy.device_files import EDGECNN
from tests.emulated_pi.access import write_access
from tests.emulated_pi.boards import BOARDS
from tests.emulated_pi.boot import ROOT
from tests.emulated_pi.card import HOSTNAME, environment_of, write_own_layer
from tests.emulated_pi.device import Device
from tests.emulated_pi.failure import run_or_raise
from tests.emulated_pi.programs import DEVICE_PROGRAMS

PROGRAMS = (*DEVICE_PROGRAMS, "ssh", "cc", "nsenter")
"""Programs that the host needs; the C compiler builds the device's sudo."""
CHECKOUT = Path(__file__).parent.parent.parent
ADDRESS = f"ssh://{HOSTNAME}"
CARD_BYTES = 1 << 30


class SmallDevice(Device):
    """Owns a device's folder and, while it is on, its processes."""

    def start(self, *, stays: bool = False) -> None:
        super().start(stays=stays)
        # The device has its own /tmp, in which this checkout and its environment would not be visible.
        for path in {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}:
            if path.is_relative_to("/tmp"):
                self._show(path)

    def _show(self, path: Path) -> None:
        init = (self.folder / "init").read_text().split()[0]
        mount_point = f"{ROOT}{path}"
        (self.root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
        run_or_raise("nsenter", "--target", init, "--mount", "mount", "--bind", path, mount_point)


def make_small_device(folder: Path) -> SmallDevice:
    """Create a device in `folder`, switched off."""
    board = BOARDS["pi4"]
    own = folder / "card" / "upper"
    write_own_layer(own, board)
    # Python may be installed in root's home, which a service could not read.
    (own / "root").mkdir(mode=0o755)
    edgecnn = own / EDGECNN[1:]
    edgecnn.parent.mkdir(parents=True)
    edgecnn.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m edgecnn "$@"\n')
    edgecnn.chmod(0o755)
    _compile_sudo(own / "usr/local/bin/sudo")
    _hide_services(own)
    with open(folder / "card.img", "xb") as card:
        card.truncate(CARD_BYTES)
    run_or_raise("mkfs.ext4", "-q", "-m", "0", "-d", folder / "card", folder / "card.img")
    write_access(folder, environment_of(board))
    (folder / "device.json").write_text(json.dumps({"hostname": HOSTNAME, "layers": ["/"]}))
    return SmallDevice(folder)


def _hide_services(own: Path) -> None:
    """Hide the host's services from the device: in an overlay, a device node 0:0 hides the file below."""
    wants = Path("etc/systemd/system/multi-user.target.wants")
    (own / wants).mkdir(parents=True)
    for link in Path("/", wants).glob("*"):
        os.mknod(own / wants / link.name, stat.S_IFCHR, os.makedev(0, 0))


def _compile_sudo(path: Path) -> None:
    subprocess.run(["cc", "-o", path, Path(__file__).with_name("sudo.c")], check=True)
    path.chmod(0o4755)
