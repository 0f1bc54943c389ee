"""Tests of the device's shell script that need no device."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.deploy.archive import CHECKSUMS, checksums, write_archive
from edgecnn.deploy.device_files import read_device_script, unit_file
from edgecnn.deploy.status import parse_status

SCRIPT = read_device_script()
STATUS = """\
service=door
ActiveState=active
SubState=running
Result=success
NRestarts=2
StatusText=classifying = well
UnitFileState=enabled
running_s=100
current=20240229T120000Z-abc
options=--source rtsp://me:hidden@cam
record={"release": "20240101T000000Z-def", "model": "a.tflite"}
record={"release": "20240229T120000Z-abc", "model": "b.tflite"}
service=hall
ActiveState=activating
SubState=auto-restart
NRestarts=7
UnitFileState=disabled
running_s=
current=
trial=yes
"""


def test_shellcheck_finds_nothing() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    done = subprocess.run(["shellcheck", "-"], input=SCRIPT, capture_output=True, check=False)
    assert (done.stdout.decode(), done.returncode) == ("", 0)


@given(part=st.floats(0, 1, exclude_max=True))
def test_an_incomplete_script_does_nothing(part: float) -> None:
    cut = SCRIPT.rstrip()[: int(part * len(SCRIPT.rstrip()))].rstrip()
    done = subprocess.run(
        ["sh", "-c", 'eval "$(cat)"', "edgecnn", "examine"], input=cut, capture_output=True, check=False
    )
    assert done.stdout == b""


def test_the_complete_script_runs() -> None:
    done = subprocess.run(
        ["sh", "-c", 'eval "$(cat)"', "edgecnn", "examine"], input=SCRIPT, capture_output=True, check=True
    )
    assert b"machine=" in done.stdout and b"free_bytes=" in done.stdout


def test_the_unit_reads_settings_on_trial_after_the_permanent_ones() -> None:
    lines = unit_file().decode().splitlines()
    files = [line for line in lines if line.startswith("EnvironmentFile=")]
    assert files == ["EnvironmentFile=/etc/edgecnn/%i.env", "EnvironmentFile=-/run/edgecnn-deploy/%i.env"]


@given(
    files=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.bin", fullmatch=True),
        st.binary(max_size=2000),
        min_size=1,
        max_size=4,
    )
)
def test_packed_files_can_be_unpacked(files: dict[str, bytes]) -> None:
    archive = io.BytesIO()
    write_archive(archive, files)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        assert {entry.name: tar.extractfile(entry).read() for entry in tar} == files  # type: ignore[union-attr]
        assert {entry.mode for entry in tar} == {0o644}


def test_sha256sum_accepts_the_checksums(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / CHECKSUMS).write_bytes(checksums({"one": tmp_path / "one"}))
    check = ["sha256sum", "--check", "--quiet", CHECKSUMS]
    assert subprocess.run(check, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "one").write_bytes(b"2")
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_the_status_of_each_service_is_parsed() -> None:
    door, hall = parse_status(STATUS, now_s=1_700_000_000)
    assert (door.name, door.healthy, door.state, door.text) == ("door", True, "active (running)", "classifying = well")
    assert (door.since, door.restarts, door.enabled) == ("2023-11-14T22:11:40+00:00", 2, True)
    assert door.options == "--source rtsp://me:***@cam"
    assert [record["model"] for record in door.releases] == ["b.tflite", "a.tflite"]
    assert (hall.healthy, hall.since, hall.release, hall.releases) == (False, None, None, ())
    assert hall.on_trial and not door.on_trial and not hall.enabled


def test_a_device_without_deployments_has_no_services() -> None:
    assert parse_status("", now_s=0) == ()
