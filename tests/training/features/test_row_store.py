from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecnn.core.errors import WriteError
from edgecnn.training.features.row_store import RowStore, add_rows, map_rows, stored_positions

SHAPE = (2, 3)


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    return store_in(tmp_path)


def store_in(folder: Path) -> RowStore:
    return RowStore(folder / "store", np.dtype(np.float32), SHAPE)


def row(key: str) -> NDArray[np.float32]:
    """Return an array that differs from that of any other key."""
    return np.random.default_rng(list(key.encode())).normal(size=SHAPE).astype(np.float32)


def rows(*keys: str) -> dict[str, NDArray[Any]]:
    return {key: row(key) for key in keys}


def check_contains(store: RowStore, *keys: str) -> None:
    assert sorted(stored_positions(store)) == sorted(keys)
    np.testing.assert_array_equal(map_rows(store, keys), np.array([row(key) for key in keys]).reshape(-1, *SHAPE))


# ---- reading


def test_arrays_are_read_by_the_indices_of_a_selection(store: RowStore) -> None:
    add_rows(store, rows("a", "b", "c"))
    selected = map_rows(store, ["c", "a", "c", "b"])
    assert (selected.shape, selected.dtype, len(selected)) == ((4, *SHAPE), np.float32, 4)
    np.testing.assert_array_equal(selected[1], row("a"))
    np.testing.assert_array_equal(selected[1:3], [row("a"), row("c")])
    np.testing.assert_array_equal(selected[np.array([3, 0])], [row("b"), row("c")])
    np.testing.assert_array_equal(selected, [row("c"), row("a"), row("c"), row("b")])


def test_rows_can_be_split(store: RowStore) -> None:
    add_rows(store, rows("a", "b", "c"))
    parts = map_rows(store, ["c", "b", "a"]).split([2, 0, 1])
    assert [len(part) for part in parts] == [2, 0, 1]
    np.testing.assert_array_equal(parts[0], [row("c"), row("b")])
    np.testing.assert_array_equal(parts[2], [row("a")])


def test_an_empty_selection_is_empty(store: RowStore) -> None:
    assert stored_positions(store) == {}
    assert map_rows(store, []).shape == (0, *SHAPE)


def test_a_reader_cannot_change_the_file(store: RowStore) -> None:
    add_rows(store, rows("a"))
    with pytest.raises(ValueError, match="read-only"):
        map_rows(store, ["a"])[0][0] = 1


def test_a_reader_keeps_its_arrays_while_others_write(store: RowStore) -> None:
    add_rows(store, rows("a", "b"))
    selected = map_rows(store, ["b", "a"])
    add_rows(store, rows("c", "d"))
    np.testing.assert_array_equal(selected, [row("b"), row("a")])


# ---- writing


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=5))
def test_every_added_array_is_found_and_stored_once(batches: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(Path(folder))
        for batch in batches:
            add_rows(store, rows(*batch))
        check_contains(store, *dict.fromkeys(key for batch in batches for key in batch))
        written_bytes = sum(file.stat().st_size for file in Path(folder).glob("store/rows"))
        assert written_bytes == len(stored_positions(store)) * store.row_bytes


_PROGRAM = """
import sys
from pathlib import Path
{before}
from tests.training.features.test_row_store import add_rows, rows, store_in
for key in sys.argv[2:]:
    add_rows(store_in(Path(sys.argv[1])), rows(*key))
"""


def start(folder: Path, *batches: str, before: str = "") -> subprocess.Popen[str]:
    """Start a process that adds one-letter keys, batch by batch."""
    command = [sys.executable, "-c", _PROGRAM.format(before=before), folder, *batches]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and the stderr of a process."""
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_two_processes_that_add_the_same_arrays_add_each_once(store: RowStore) -> None:
    letters = "abcdefghijklmnopqrst"
    both = [start(store.folder.parent, *letters), start(store.folder.parent, *letters[::-1])]
    assert [finish(process)[0] for process in both] == [0, 0]
    check_contains(store, *letters)
    assert (store.folder / "rows").stat().st_size == len(letters) * store.row_bytes


@pytest.mark.parametrize(
    "death",
    [
        "import numpy\nnumpy.ascontiguousarray = lambda *_: os._exit(9)",
        "os.fsync = lambda _: os._exit(9)",
    ],
    ids=["before an array is written", "after the arrays, before the index"],
)
def test_a_process_that_dies_while_writing_leaves_earlier_arrays_intact(store: RowStore, death: str) -> None:
    add_rows(store, rows("a"))
    assert finish(start(store.folder.parent, "bc", before=f"import os\n{death}"))[0] == 9
    check_contains(store, "a")
    add_rows(store, rows("d", "b"))
    check_contains(store, "a", "d", "b")


def test_a_full_disk_is_reported_in_one_line_and_leaves_earlier_arrays_intact(store: RowStore) -> None:
    pytest.importorskip("resource")
    add_rows(store, rows("a"))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))"
    status, errors = finish(start(store.folder.parent, "bc", before=limit))
    assert status == 1
    assert f"WriteError: could not use the cache in {store.folder}: " in errors.splitlines()[-1]
    check_contains(store, "a")
    add_rows(store, rows("b"))
    check_contains(store, "a", "b")


# ---- damaged files


@pytest.mark.parametrize("bytes_left", [0, 1, 24, 47, None])
def test_truncated_arrays_count_as_missing(store: RowStore, bytes_left: int | None) -> None:
    add_rows(store, rows("a", "b", "c"))
    file = store.folder / "rows"
    if bytes_left is None:
        file.unlink()
    else:
        with open(file, "r+b") as opened:
            opened.truncate(bytes_left)
    left = ["a"] if bytes_left is not None and bytes_left >= store.row_bytes else []
    check_contains(store, *left)
    with pytest.raises(WriteError, match=r"entries have disappeared from .*/store; try again"):
        map_rows(store, ["a", "b"])
    add_rows(store, rows("d", "b"))
    check_contains(store, *left, "d", "b")


def test_an_index_without_its_table_is_empty(store: RowStore) -> None:
    store.folder.mkdir()
    (store.folder / "index.sqlite").touch()
    assert stored_positions(store) == {}
    add_rows(store, rows("a"))
    check_contains(store, "a")


def test_a_corrupted_index_is_reported_in_one_line(store: RowStore) -> None:
    add_rows(store, rows("a"))
    (store.folder / "index.sqlite").write_bytes(b"no database" * 400)
    for use in (lambda: stored_positions(store), lambda: add_rows(store, rows("b"))):
        with pytest.raises(
            WriteError, match=r"could not use the cache in .*/store: file is not a database; "
        ) as caught:
            use()
        assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_created_is_named(store: RowStore) -> None:
    store.folder.touch()
    with pytest.raises(WriteError, match=r"could not use the cache in .*/store: "):
        add_rows(store, rows("a"))
