from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.core.atomic import atomic_folder, atomic_path, write_bytes, write_text
from edgecnn.core.errors import WriteError


def test_only_the_target_is_left_after_writing(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "run.json"
    write_text(target, "é\n")
    assert target.read_bytes() == b"\xc3\xa9\n"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError("halfway"), KeyboardInterrupt()])
def test_exception_leaves_old_content_and_no_other_file(error: BaseException, tmp_path: Path) -> None:
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_path(target) as temporary:
        temporary.write_bytes(b"ne")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_old_content_stays_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert (target.read_bytes(), temporary.parent, temporary.suffix) == (b"old", tmp_path, ".tflite")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(mask: int, mode: int, tmp_path: Path) -> None:
    previous = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"x")
        assert os.umask(mask) == mask
    finally:
        os.umask(previous)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_folder_under_the_name_of_the_file_is_a_one_line_error(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    target.mkdir()
    with pytest.raises(WriteError, match=r"could not write .*run\.json: .*nothing was changed") as caught:
        write_bytes(target, b"x")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [target]


def test_file_under_the_name_of_the_parent_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(WriteError, match="could not write"):
        write_bytes(tmp_path / "run" / "run.json", b"x")


def test_exceeded_file_size_limit_leaves_old_content(tmp_path: Path) -> None:
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    program = f"""
import resource, signal
from pathlib import Path
from edgecnn.core.atomic import write_bytes
from edgecnn.core.errors import WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
try:
    write_bytes(Path({str(target)!r}), bytes(8192))
except WriteError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "File too large" in ran.stdout
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root and the permission to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_leaves_old_content(small_disk: Path) -> None:
    target = small_disk / "model.tflite"
    target.write_bytes(b"old")
    with pytest.raises(WriteError, match="No space left on device; nothing was changed"):
        write_bytes(target, bytes(100_000))
    assert target.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [target]


def write_folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(content)
    return path


@pytest.mark.parametrize("former", [None, "empty", "full"])
def test_folder_replaces_its_target(former: str | None, tmp_path: Path) -> None:
    target = tmp_path / "new" / "photos"
    if former == "empty":
        target.mkdir(parents=True)
    elif former == "full":
        write_folder(target, "old")
        (target / "other").write_text("old")
    with atomic_folder(target) as folder:
        (folder / "file").write_text("new")
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [("file", "new")]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError("halfway"), KeyboardInterrupt()])
def test_exception_leaves_old_folder_and_no_other(error: BaseException, tmp_path: Path) -> None:
    target = write_folder(tmp_path / "photos", "old")
    with pytest.raises(type(error)), atomic_folder(target) as folder:
        (folder / "file").write_text("new")
        raise error
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_unwritable_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refusal = pytest.raises(WriteError, match=r"could not write .*photos: .*; nothing was changed")
    with refusal, atomic_folder(tmp_path / "file" / "photos"):
        pass


def test_folder_has_the_permissions_of_a_new_folder(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "photos"):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "photos").stat().st_mode == (tmp_path / "plain").stat().st_mode
