"""Files and programs of a Raspberry Pi, for tests on other machines."""

from __future__ import annotations

from pathlib import Path

CAMERAS = """Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
                             2304x1296 [56.03 fps - (0, 0)/4608x2592 crop]
1 : imx219 [3280x2464 10-bit RGGB] (/base/axi/pcie@120000/rp1/i2c@80000/imx219@10)
    Modes: 'SRGGB8' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]
"""
NO_CAMERAS = "No cameras available!\n"


def write_board(root: Path) -> Path:
    """Write the files of an idle Raspberry Pi 4 whose user may use cameras."""
    cpu, thermal = "sys/devices/system/cpu/cpu0/cpufreq", "sys/class/thermal/thermal_zone0"
    return write_files(
        root,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/meminfo": "MemTotal: 3884384 kB\nMemAvailable: 3000000 kB\nSwapTotal: 524284 kB\n",
            "etc/group": "root:x:0:\nvideo:x:44:pi\n",
            "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
            f"{cpu}/scaling_governor": "ondemand\n",
            f"{thermal}/type": "cpu-thermal\n",
            f"{thermal}/temp": "48686\n",
        },
    )


def write_video_device(root: Path, number: int, name: str, *, index: int = 0, node: bool = True) -> None:
    """Write the kernel's files of a video device; without `node` it cannot be opened."""
    folder = f"sys/class/video4linux/video{number}"
    write_files(root, {f"{folder}/name": f"{name}\n", f"{folder}/index": f"{index}\n"})
    if node:
        write_files(root, {f"dev/video{number}": ""})


def write_programs(folder: Path, *, throttled: str = "0x0", cameras: str = CAMERAS, synchronized: str = "yes") -> Path:
    """Write the programs that the checks call, into a folder at the front of PATH."""
    write_program(folder, "vcgencmd", f"echo throttled={throttled}")
    write_program(folder, "rpicam-hello", f"cat <<'END'\n{cameras}END")
    write_program(folder, "timedatectl", f"echo {synchronized}")
    write_program(folder, "dpkg", "echo arm64")
    return folder


def write_program(folder: Path, name: str, body: str) -> None:
    write_files(folder, {name: f"#!/bin/sh\n{body}\n"})
    (folder / name).chmod(0o755)


def write_files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
