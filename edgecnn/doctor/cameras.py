"""Checks of cameras, and of the permission to use them."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.board import read_text
from edgecnn.doctor.finding import Finding, output_of

LISTING_PROGRAMS = ("rpicam-hello", "libcamera-hello")
"""Names of the same program, since Raspberry Pi OS 12 and before."""

_LISTING_TIMEOUT_S = 10
_LISTED = re.compile(r"^\s*\d+ : (\S+) \[", re.MULTILINE)
_NO_CAMERAS = "No cameras available"
# A Raspberry Pi's codecs, its image processor and the raw side of the CSI connector are video devices too.
_NOT_CAMERAS = ("bcm2835-", "rpivid", "rpi-hevc", "unicam", "rp1-cfe", "pispbe")

_JOIN_VIDEO = "sudo usermod -aG video {user}, then log out and in again"


class VideoDevice(NamedTuple):
    """A camera that OpenCV opens by number."""

    number: int
    name: str
    usable: bool
    """This user may open it."""


def check_cameras(root: Path) -> tuple[Finding, ...]:
    """Check the USB cameras and those on the CSI connector.

    Having no camera at all is only a warning, since a network stream is a source too.

    Args:
        root: Folder that contains `/sys` and `/dev`.

    Returns:
        The finding about USB and the one about CSI.
    """
    usb, csi = usb_cameras(root), listed_cameras()
    return _usb_finding(usb, alone=not csi), _csi_finding(csi, alone=not usb)


def usb_cameras(root: Path) -> tuple[VideoDevice, ...]:
    """Find the video devices that deliver pictures.

    Args:
        root: Folder that contains `/sys` and `/dev`.

    Returns:
        The cameras in the order of their numbers.
    """
    cameras = []
    for folder in root.glob("sys/class/video4linux/video*"):
        name = read_text(folder / "name") or "unnamed"
        # The second device of a USB camera delivers metadata.
        if read_text(folder / "index") in ("0", None) and not name.startswith(_NOT_CAMERAS):
            usable = os.access(root / "dev" / folder.name, os.R_OK | os.W_OK)
            cameras.append(VideoDevice(int(folder.name.removeprefix("video")), name, usable))
    return tuple(sorted(cameras))


def listed_cameras() -> tuple[str, ...] | None:
    """List the sensors on the CSI connector, in the order of their numbers.

    Returns:
        None if no program can list them.
    """
    for program in LISTING_PROGRAMS:
        output = output_of([program, "--list-cameras"], timeout_s=_LISTING_TIMEOUT_S) or ""
        sensors = tuple(_LISTED.findall(output))
        if sensors or _NO_CAMERAS in output:
            return sensors
    return None


def check_group(root: Path) -> Finding:
    """Check that this user may use cameras and query the firmware.

    Args:
        root: Folder that contains `/etc`.

    Returns:
        The finding about the group `video`.
    """
    return group_finding(_video_group(root), os.getgroups(), os.geteuid())


def group_finding(video: int | None, groups: Collection[int], user: int) -> Finding:
    """Judge a user's membership of the group `video`.

    Args:
        video: Number of that group; None if the system has none.
        groups: Numbers of the user's groups.
        user: Number of the user; 0 is root.

    Returns:
        The finding.
    """
    if video is None:
        return Finding("group video", "unknown", "this system has no such group")
    if user == 0:
        return Finding("group video", "ok", "root needs no group")
    if video in groups:
        return Finding("group video", "ok", "member")
    fix = _JOIN_VIDEO.format(user=_user_name())
    return Finding("group video", "warning", "not a member: access to cameras and vcgencmd may be denied", fix)


def _usb_finding(cameras: tuple[VideoDevice, ...], *, alone: bool) -> Finding:
    if not cameras:
        return Finding(
            "usb camera",
            "warning" if alone else "ok",
            "none",
            "plug in a camera, or use another source: edgecnn run MODEL --source http://camera/stream" if alone else "",
        )
    found = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    if not all(camera.usable for camera in cameras):
        return Finding("usb camera", "problem", f"{found}: permission denied", _JOIN_VIDEO.format(user=_user_name()))
    return Finding("usb camera", "ok", found, f"edgecnn run MODEL --source {cameras[0].number}")


def _csi_finding(sensors: tuple[str, ...] | None, *, alone: bool) -> Finding:
    if sensors is None:
        fix = "on a Raspberry Pi: sudo apt install rpicam-apps-lite"
        return Finding("csi camera", "unknown", f"no answer from {' or '.join(LISTING_PROGRAMS)}", fix)
    if not sensors:
        fix = "switch off, reseat the ribbon cable at both ends, switch on; then rpicam-hello --list-cameras"
        return Finding("csi camera", "warning" if alone else "ok", "none", fix if alone else "")
    found = ", ".join(f"{number} ({sensor})" for number, sensor in enumerate(sensors))
    return Finding("csi camera", "ok", found, "edgecnn run MODEL --source csi")


def _video_group(root: Path) -> int | None:
    for line in (read_text(root / "etc/group") or "").splitlines():
        fields = line.split(":")
        if fields[0] == "video" and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    return None


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "$USER"
