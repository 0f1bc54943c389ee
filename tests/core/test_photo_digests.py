from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core import digest_cache, photo_digests
from edgecnn.core.dataset import Dataset, scan_dataset

PLANTED = "f" * 64
"""A digest that no photo has: code that returns it has not read the photo."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock forward, so that the photos look older: the change time of a file cannot be set."""
    now_ns = time.time_ns
    monkeypatch.setattr(photo_digests.time, "time_ns", lambda: now_ns() + 60_000_000_000)


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat/a", "cat/b", "owl/c", "owl/d")):
        photo(tmp_path / "photos" / f"{name}.png", number)
    return tmp_path / "photos"


def digests(dataset: Dataset) -> list[str]:
    return [example.sha256 for example in dataset.splits["train"]]


def rows(cache: Path) -> dict[str, str | None]:
    """Return the cached digests by file name."""
    with closing(sqlite3.connect(cache / "photos-1.sqlite")) as database:
        entries = database.execute("SELECT path, digest FROM photos").fetchall()
    return {Path(os.fsdecode(path)).name: digest for path, digest in entries}


def plant(cache: Path, statement: str = f"UPDATE photos SET digest = '{PLANTED}'") -> None:
    with closing(sqlite3.connect(cache / "photos-1.sqlite")) as database, database:
        database.execute(statement)


# ---- cached entries


@pytest.mark.usefixtures("_later")
def test_unchanged_photo_is_not_read_again(photos: Path, cache: Path) -> None:
    first = scan_dataset(photos)
    assert digests(scan_dataset(photos)) == digests(first)
    plant(cache)
    assert digests(scan_dataset(photos)) == [PLANTED] * 4


@pytest.mark.usefixtures("_later")
def test_rewritten_photo_is_read_again(photos: Path, cache: Path) -> None:
    before = digests(scan_dataset(photos))
    plant(cache)
    changed = photos / "cat" / "b.png"
    changed.write_bytes(changed.read_bytes())
    assert digests(scan_dataset(photos)) == [PLANTED, before[1], PLANTED, PLANTED]


@pytest.mark.usefixtures("_later")
def test_replacement_file_with_same_size_and_date_is_read(photos: Path, cache: Path) -> None:
    before = digests(scan_dataset(photos))
    plant(cache)
    replaced = photos / "cat" / "b.png"
    date = replaced.stat()
    copy = shutil.copy(replaced, photos.parent / "copy.png")
    os.utime(copy, ns=(date.st_atime_ns, date.st_mtime_ns))
    os.replace(copy, replaced)
    assert digests(scan_dataset(photos))[1] == before[1]


def test_recently_written_photo_is_not_cached(photos: Path, cache: Path) -> None:
    scan_dataset(photos)
    assert not cache.exists()


@pytest.mark.usefixtures("_later")
def test_file_that_is_not_an_image_is_cached_but_unreadable_file_is_not(photos: Path, cache: Path) -> None:
    (photos / "cat" / "text.png").write_text("no image")
    (photos / "owl" / "link.png").symlink_to(photos / "absent.png")
    names = ["text.png", "link.png"]
    assert [path.name for path in scan_dataset(photos).unreadable] == names
    assert (len(rows(cache)), rows(cache)["text.png"]) == (5, None)
    assert [path.name for path in scan_dataset(photos).unreadable] == names
    photo(photos / "absent.png", 9)
    assert [path.name for path in scan_dataset(photos).unreadable] == names[:1]


@pytest.mark.usefixtures("_later")
def test_cache_does_not_depend_on_how_the_folder_is_specified(
    photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.renames(photos, tmp_path / "data" / "train")
    scan_dataset(tmp_path / "data")
    plant(cache)
    assert digests(scan_dataset(tmp_path / "data" / "train")) == [PLANTED] * 4
    monkeypatch.chdir(tmp_path)
    assert digests(scan_dataset(Path("data"))) == [PLANTED] * 4
    os.rename("data", "data2")
    assert PLANTED not in digests(scan_dataset(Path("data2")))


@pytest.mark.usefixtures("_later")
def test_file_name_with_invalid_utf8_is_cached(photos: Path, cache: Path) -> None:
    os.rename(photos / "cat" / "a.png", os.fsencode(photos / "cat") + b"/\xff.png")
    before = digests(scan_dataset(photos))
    assert len(rows(cache)) == 4
    assert digests(scan_dataset(photos)) == before


@pytest.mark.usefixtures("_later")
def test_digests_computed_before_an_interruption_are_cached(photos: Path, cache: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_dataset(photos, progress=interrupt)
    assert sorted(rows(cache)) == ["a.png", "b.png", "c.png"]


@pytest.mark.usefixtures("_later")
def test_progress_is_reported_for_cached_and_uncached_photos(photos: Path) -> None:
    scan_dataset(photos)
    photo(photos / "cat" / "0.png", 7)
    reports: list[tuple[int, int]] = []
    scan_dataset(photos, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(done, 5) for done in range(1, 6)]


# ---- removed entries


@pytest.mark.usefixtures("_later")
def test_entry_of_deleted_photo_is_removed(photos: Path, cache: Path) -> None:
    scan_dataset(photos)
    (photos / "cat" / "a.png").unlink()
    scan_dataset(photos)
    assert sorted(rows(cache)) == ["b.png", "c.png", "d.png"]


@pytest.mark.usefixtures("_later")
def test_entry_of_photo_outside_the_class_folders_is_kept(photos: Path, cache: Path) -> None:
    scan_dataset(photos)
    os.renames(photos / "cat", photos / "train" / "cat")
    scan_dataset(photos / "train")
    scan_dataset(photos)
    assert sorted(rows(cache)) == ["a.png", "b.png", "c.png", "d.png"]


@pytest.mark.usefixtures("_later")
def test_entries_older_than_the_retention_period_are_removed(photos: Path, cache: Path, tmp_path: Path) -> None:
    scan_dataset(photos)
    plant(cache, "UPDATE photos SET recorded_s = 0")
    photo(tmp_path / "others" / "cat" / "z.png", 5)
    scan_dataset(tmp_path / "others")
    assert list(rows(cache)) == ["z.png"]


# ---- unusable cache


@pytest.mark.usefixtures("_later")
def test_scan_works_without_a_cache_folder(photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = digests(scan_dataset(photos))
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert digests(scan_dataset(photos)) == expected


@pytest.mark.usefixtures("_later")
@pytest.mark.parametrize("damage", [b"not a database, but long enough to be taken for one" * 40, b""])
def test_corrupted_database_is_replaced(photos: Path, cache: Path, damage: bytes) -> None:
    expected = digests(scan_dataset(photos))
    (cache / "photos-1.sqlite").write_bytes(damage)
    assert digests(scan_dataset(photos)) == expected
    assert len(rows(cache)) == 4


@pytest.mark.usefixtures("_later")
def test_scan_works_while_another_program_locks_the_database(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = digests(scan_dataset(photos))
    monkeypatch.setattr(digest_cache, "_LOCK_TIMEOUT_S", 0.01)
    with closing(sqlite3.connect(cache / "photos-1.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert digests(scan_dataset(photos)) == expected


def test_two_programs_can_scan_the_same_photos_simultaneously(photos: Path, cache: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from edgecnn.core import photo_digests as p\n"
        "p._SETTLED_NS = -10**12\n"
        "from edgecnn.core.dataset import scan_dataset\n"
        "print(scan_dataset(Path(sys.argv[1])).fingerprint)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, photos], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    fingerprints = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert fingerprints == {scan_dataset(photos).fingerprint}
    assert len(rows(cache)) == 4


# ---- equivalence


@pytest.fixture(scope="module")
def kinds() -> dict[str, bytes]:
    """Return file contents by kind, of equal size where possible."""
    whole = [cv2.imencode(".bmp", np.full((4, 4, 3), gray, np.uint8))[1].tobytes() for gray in (1, 2)]
    return {"one": whole[0], "other": whole[1], "damaged": b"XX" + whole[0][2:], "empty": b""}


changes = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["one", "other", "damaged", "empty", "gone", "touched"])),
    max_size=3,
)


@given(st.lists(changes, max_size=4))
@pytest.mark.usefixtures("_later_for_all")
def test_scan_with_cache_equals_scan_without_cache(
    kinds: dict[str, bytes], rounds: list[list[tuple[str, str]]]
) -> None:
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        folder = Path(temporary) / "photos"
        photo(folder / "cat" / "always.png", 0)
        for number, changed in enumerate([[], *rounds]):
            for name, kind in changed:
                change(folder / "cat" / f"{name}.bmp", kind, kinds)
            patch.setenv("EDGECNN_CACHE", f"{temporary}/retained")
            cached = scan_dataset(folder)
            patch.setenv("EDGECNN_CACHE", f"{temporary}/fresh-{number}")
            assert cached == scan_dataset(folder)
            # A file system's clock ticks every few milliseconds: give the next changes other times. Without the shifted
            # clock, files this recent would not be cached at all.
            time.sleep(0.012)


def change(path: Path, kind: str, kinds: dict[str, bytes]) -> None:
    if kind == "gone":
        path.unlink(missing_ok=True)
    elif kind == "touched":
        path.touch()
    else:
        path.write_bytes(kinds[kind])


@pytest.fixture(scope="module")
def _later_for_all() -> Iterator[None]:
    now_ns = time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_digests.time, "time_ns", lambda: now_ns() + 60_000_000_000)
        yield
