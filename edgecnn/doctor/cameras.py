"""Checks of cameras, and of who may use them."""

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
"""The same program by its name since and before Raspberry Pi OS 12."""

_LISTING_TIMEOUT_S = 10
_LISTED = re.compile(r"^\s*\d+ : (\S+) \[", re.MULTILINE)
_NO_CAMERAS = "No cameras available"
# A Raspberry Pi's codecs, its picture processor and the raw side of the CSI socket are video devices too.
_NOT_CAMERAS = ("bcm2835-", "rpivid", "rpi-hevc", "unicam", "rp1-cfe", "pispbe")

_JOIN_VIDEO = "sudo usermod -aG video {user}, then log out and in again"


class VideoDevice(NamedTuple):
    """A camera that OpenCV opens by its number."""

    number: int
    name: str
    usable: bool
    """Whether this user may open it."""


def check_cameras(root: Path) -> tuple[Finding, ...]:
    """USB cameras and those on the CSI socket; none at all is worth a warning, since a stream is a source too."""
    usb, csi = usb_cameras(root), listed_cameras()
    return _usb_finding(usb, alone=not csi), _csi_finding(csi, alone=not usb)


def usb_cameras(root: Path) -> tuple[VideoDevice, ...]:
    """Video devices that give pictures, by number."""
    found = []
    for folder in root.glob("sys/class/video4linux/video*"):
        name = read_text(folder / "name") or "unnamed"
        # The second device of a USB camera gives metadata.
        if read_text(folder / "index") in ("0", None) and not name.startswith(_NOT_CAMERAS):
            usable = os.access(root / "dev" / folder.name, os.R_OK | os.W_OK)
            found.append(VideoDevice(int(folder.name.removeprefix("video")), name, usable))
    return tuple(sorted(found))


def listed_cameras() -> tuple[str, ...] | None:
    """Sensors on the CSI socket, in the order of their numbers; None where no program tells."""
    for program in LISTING_PROGRAMS:
        said = output_of([program, "--list-cameras"], timeout_s=_LISTING_TIMEOUT_S) or ""
        sensors = tuple(_LISTED.findall(said))
        if sensors or _NO_CAMERAS in said:
            return sensors
    return None


def check_group(root: Path) -> Finding:
    """Whether this user may use cameras and ask the firmware."""
    return group_finding(_video_group(root), os.getgroups(), os.geteuid())


def group_finding(video: int | None, groups: Collection[int], user: int) -> Finding:
    """`video` is the number of that group, None where the system has none."""
    if video is None:
        return Finding("group video", "unknown", "the system has no such group")
    if user == 0:
        return Finding("group video", "ok", "root needs no group")
    if video in groups:
        return Finding("group video", "ok", "a member")
    fix = _JOIN_VIDEO.format(user=_user_name())
    return Finding("group video", "warning", "not a member: cameras and vcgencmd may refuse", fix)


def _usb_finding(cameras: tuple[VideoDevice, ...], *, alone: bool) -> Finding:
    if not cameras:
        return Finding(
            "usb camera",
            "warning" if alone else "ok",
            "none",
            "plug one in, or use another source: edgecnn run MODEL --source http://camera/stream" if alone else "",
        )
    found = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    if not all(camera.usable for camera in cameras):
        return Finding(
            "usb camera", "problem", f"{found}, not allowed to open it", _JOIN_VIDEO.format(user=_user_name())
        )
    return Finding("usb camera", "ok", found, f"edgecnn run MODEL --source {cameras[0].number}")


def _csi_finding(sensors: tuple[str, ...] | None, *, alone: bool) -> Finding:
    if sensors is None:
        fix = "on a Raspberry Pi: sudo apt install rpicam-apps-lite"
        return Finding("csi camera", "unknown", f"neither {' nor '.join(LISTING_PROGRAMS)} answers", fix)
    if not sensors:
        fix = "switch off, push the ribbon cable in on both ends, switch on; then rpicam-hello --list-cameras"
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
