"""The log of a run, in CSV and in SQLite."""

from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.runtime.decision import Decision, Event
from edgecnn.runtime.outputs import log as module
from edgecnn.runtime.outputs.log import ResultLog, open_log, rotated_path
from edgecnn.runtime.outputs.log_record import COLUMNS, log_record
from edgecnn.runtime.outputs.output import ItemsLost
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.outputs.sqlite_log import APPLICATION_ID
from edgecnn.runtime.sinks import CameraEvent, Result

DEADLINE_S = 60.0
HEADER = (
    "time,kind,source,frame,label,index,score,age_ms,capture_ms,preprocess_ms,invoke_ms,postprocess_ms,dropped,"
    "decision,duration_s"
)
both = pytest.mark.parametrize("name", ["log.csv", "log.db"])


def a_result(number: int = 7, *, label: str = "cat", source: str = "camera 0", decided: str | None = None) -> Result:
    frame = Frame(np.empty((0, 0, 3), np.uint8), source, number, 1700000000.25, 1, 1.5)
    top = (Score(label, 3, 0.7512345678), Score("dog", 1, 0.2))
    decision = None
    if decided is not None:
        decision = Decision(Score(decided, 3, 0.75), 1, top[0], np.array([0.25, 0.75], np.float32), ())
    return Result(frame, Prediction(top, StageLatency(0.5, 4.0, 0.125)), 40.0, 2, decision)


def an_event(*, label: str = "cat") -> CameraEvent:
    return CameraEvent("camera 0", 1700000001.0019, Event("left", Score(label, 3, 0.5), 9, 2_500_000_000))


def open_small(path: Path) -> ResultLog:
    return open_log(path, max_bytes=100_000, keep=3)


def open_large(path: Path) -> ResultLog:
    return open_log(path, max_bytes=1_000_000_000, keep=1)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a log with a CSV reader; every line must be a complete record."""
    text = path.read_bytes().decode()
    assert text.endswith("\n")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == text.count("\n") - 1
    assert all(len(row) == len(COLUMNS) and None not in row.values() for row in rows)
    return rows


def query(path: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def frames_in(path: Path) -> list[int]:
    """Return the frame numbers of the results in a log of either format."""
    if path.suffix == ".csv":
        return [int(row["frame"]) for row in rows_of(path) if row["kind"] == "result"]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    return [number for (number,) in query(path, "SELECT frame FROM results ORDER BY rowid") if isinstance(number, int)]


@pytest.fixture
def unbuffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write every record immediately."""
    monkeypatch.setattr(module, "FLUSH_S", 0.0)


@pytest.fixture
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffer all records after the first."""
    monkeypatch.setattr(module, "FLUSH_S", 3600.0)


def test_a_csv_log_has_a_header_and_a_line_for_every_result_and_event(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with closing(open_small(path)) as log:
        assert log.wants(a_result()) == "figures"
        assert log.name == f"log {path}"
        log.take(a_result())
        log.take(a_result(8, decided="dog"))
        log.take(an_event())
    assert path.read_text().splitlines() == [
        HEADER,
        "2023-11-14T22:13:20.250Z,result,camera 0,7,cat,3,0.751235,40.0,1.5,0.5,4.0,0.125,2,,",
        "2023-11-14T22:13:20.250Z,result,camera 0,8,cat,3,0.751235,40.0,1.5,0.5,4.0,0.125,2,dog,",
        "2023-11-14T22:13:21.001Z,left,camera 0,,cat,3,0.5,,,,,,,,2.5",
    ]


def test_an_sqlite_log_has_a_table_of_results_and_a_table_of_events(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite3"
    with closing(open_small(path)) as log:
        log.take(a_result())
        log.take(a_result(8, decided="dog"))
        log.take(an_event())
    figures = (3, 0.751235, 40.0, 1.5, 0.5, 4.0, 0.125, 2)
    assert query(path, "SELECT * FROM results") == [
        ("2023-11-14T22:13:20.250Z", "camera 0", 7, "cat", *figures, None),
        ("2023-11-14T22:13:20.250Z", "camera 0", 8, "cat", *figures, "dog"),
    ]
    assert query(path, "SELECT * FROM events") == [("2023-11-14T22:13:21.001Z", "left", "camera 0", "cat", 3, 0.5, 2.5)]
    assert query(path, "PRAGMA user_version") == [(1,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    (plan,) = query(path, "EXPLAIN QUERY PLAN SELECT * FROM results WHERE time > '2023'")
    assert "results_by_time" in str(plan)


def test_others_can_read_an_sqlite_log_while_it_is_being_written(unbuffered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(open_small(path)) as log, closing(sqlite3.connect(path)) as reader:
        for number in range(5):
            log.take(a_result(number))
            assert reader.execute("SELECT max(frame) FROM results").fetchone() == (number,)


@pytest.mark.parametrize("name", ["log.txt", "log", "log.csv.gz", ".csv"])
def test_an_unknown_suffix_is_refused_and_the_choices_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a log named \*\.csv, \*\.db, \*\.sqlite, \*\.sqlite3, got"):
        open_small(tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("max_bytes", "keep"), [(99_999, 3), (100_000, 0)])
def test_a_log_that_would_keep_nothing_is_refused(max_bytes: int, keep: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use larger numbers"):
        open_log(tmp_path / "log.csv", max_bytes=max_bytes, keep=keep)


@both
def test_a_location_that_cannot_be_written_is_a_one_line_error(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / name, tmp_path / name):
        (tmp_path / name).mkdir(exist_ok=True)
        with pytest.raises(InputError, match="cannot open the log") as caught:
            open_small(path)
        assert "\n" not in str(caught.value)


@both
def test_an_existing_log_is_continued(name: str, tmp_path: Path) -> None:
    for number in range(3):
        with closing(open_small(tmp_path / name)) as log:
            log.take(a_result(number))
    assert frames_in(tmp_path / name) == [0, 1, 2]


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", HEADER.encode() + b",more\n", b"x", HEADER.upper().encode() + b"\n"]
)
def test_another_csv_file_is_refused_and_stays_unchanged(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="got a different first line; move the file or choose another name"):
        open_small(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE birds (name TEXT)",
        "CREATE TABLE results (time TEXT); PRAGMA user_version = 1",
        f"CREATE TABLE results (time TEXT); PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2",
        "PRAGMA user_version = 1",
    ],
    ids=["a table", "our version", "a later version", "no table"],
)
def test_another_database_is_refused_and_stays_unchanged(script: str, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    before = path.read_bytes()
    with pytest.raises(InputError, match="got a different file; move the file or choose another name"):
        open_small(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_a_database_is_refused_and_stays_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_text(HEADER * 100)
    with pytest.raises(InputError, match="got a different file"):
        open_small(path)
    assert path.read_text() == HEADER * 100


@both
def test_an_empty_file_becomes_a_log(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with closing(open_small(tmp_path / name)) as log:
        log.take(a_result(1))
    assert frames_in(tmp_path / name) == [1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_csv_log_truncated_anywhere_continues_after_its_last_complete_line(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    path.unlink(missing_ok=True)
    with closing(open_small(path)) as log:
        for number in range(3):
            log.take(a_result(number, label='naïve, "cat"'))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    kept = max(path.read_bytes().count(b"\n") - 1, 0)
    with closing(open_small(path)) as log:
        log.take(a_result(9))
    assert frames_in(path) == [*range(kept), 9]


def test_a_long_incomplete_line_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with closing(open_small(path)) as log:
        log.take(a_result(0))
    with path.open("ab") as file:
        file.write(b"x" * 20_000)
    with closing(open_small(path)) as log:
        log.take(a_result(1))
    assert frames_in(path) == [0, 1]


@given(label=st.text(), source=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_csv_record_with_any_label_is_one_line_and_not_a_formula(label: str, source: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.unlink(missing_ok=True)
    with closing(open_small(path)) as log:
        log.take(a_result(label=label, source=source, decided=label))
    (row,) = rows_of(path)
    assert row["decision"] == row["label"]
    for written, original in ((row["label"], label), (row["source"], source)):
        assert not written.startswith(("=", "+", "-", "@"))
        if original.isprintable():
            assert written.removeprefix("'") == original


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("=1+2", "'=1+2"),
        ("-40 °C", "'-40 °C"),
        ("'tis", "''tis"),
        ("judge's robe", "judge's robe"),
        ("two\nlines\r\x00", "two\\nlines\\r\\x00"),
        ("bad\udcff.jpg", "bad\\udcff.jpg"),
        ('a, "b"', 'a, "b"'),
    ],
)
def test_labels_that_are_formulas_or_contain_line_breaks_are_escaped(label: str, written: str, tmp_path: Path) -> None:
    with closing(open_small(tmp_path / "log.csv")) as log:
        log.take(an_event(label=label))
    (row,) = rows_of(tmp_path / "log.csv")
    assert row["label"] == written


@pytest.mark.parametrize(
    ("source", "stored"),
    [("=two\nlines", "=two\nlines"), ("naïve \x00", "naïve \x00"), ("bad\udcff.jpg", "bad\\udcff.jpg")],
)
def test_an_sqlite_log_stores_text_unchanged_unless_it_cannot_be_encoded(
    source: str, stored: str, tmp_path: Path
) -> None:
    with closing(open_small(tmp_path / "log.db")) as log:
        log.take(a_result(label=source, source=source))
    assert query(tmp_path / "log.db", "SELECT label, source FROM results") == [(stored, stored)]


def test_an_error_within_a_transaction_rolls_it_back(buffered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(open_small(path)) as log:
        log.take(a_result(0))
        log.take(a_result(1))
        log.take(an_event())
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE events RENAME TO hidden")
        for _ in range(2):
            with pytest.raises(WriteError, match="no such table"):
                log.flush()
        assert frames_in(path) == [0]
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE hidden RENAME TO events")
    assert frames_in(path) == [0, 1]
    assert query(path, "SELECT count(*) FROM events") == [(1,)]


@both
def test_records_are_written_in_batches_and_at_the_end(buffered: None, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    log = open_small(path)
    for number in range(5):
        log.take(a_result(number))
    assert frames_in(path) == [0]
    log.flush()
    assert frames_in(path) == [0, 1, 2, 3, 4]
    log.take(a_result(5))
    assert frames_in(path) == [0, 1, 2, 3, 4]
    log.close()
    assert frames_in(path) == [0, 1, 2, 3, 4, 5]


@both
def test_records_behind_a_queue_are_written_soon_even_if_no_more_arrive(name: str, tmp_path: Path) -> None:
    with QueuedOutput(open_small(tmp_path / name), capacity=10) as queued:
        for number in range(5):
            queued(a_result(number))
        deadline_s = time.monotonic() + DEADLINE_S
        while frames_in(tmp_path / name) != [0, 1, 2, 3, 4]:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


@both
def test_the_number_of_buffered_records_is_limited(buffered: None, name: str, tmp_path: Path) -> None:
    with closing(open_log(tmp_path / name, max_bytes=10_000_000, keep=1)) as log:
        for number in range(1500):
            log.take(a_result(number))
        assert len(frames_in(tmp_path / name)) >= 1000


@both
def test_a_full_log_is_rotated_and_the_oldest_is_deleted(buffered: None, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with closing(open_log(path, max_bytes=100_000, keep=2)) as log:
        for number in range(9000):
            log.take(a_result(number))
            if number % 100 == 0:
                log.flush()
    logs = [rotated_path(path, 2), rotated_path(path, 1), path]
    assert sorted(tmp_path.iterdir()) == sorted(logs)
    assert rotated_path(path, 1).name == name.replace(".", ".1.")
    kept = [number for log_path in logs for number in frames_in(log_path)]
    assert kept == list(range(kept[0], 9000))
    assert kept[0] > 0
    for rotated in logs[:2]:
        assert 100_000 <= rotated.stat().st_size < 130_000
    # Another run continues the log.
    with closing(open_log(path, max_bytes=100_000, keep=2)) as log:
        log.take(a_result(9000))
    assert frames_in(path)[-1] == 9000


def test_a_gap_in_the_numbers_of_older_logs_is_filled(unbuffered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for number in (2, 3):
        rotated_path(path, number).write_text(f"log {number}\n")
    with closing(open_log(path, max_bytes=100_000, keep=3)) as log:
        while not rotated_path(path, 1).exists():
            log.take(a_result())
    assert rotated_path(path, 3).read_text() == "log 2\n"
    assert not rotated_path(path, 2).exists()
    assert not rotated_path(path, 4).exists()


def test_an_sqlite_log_that_another_program_has_open_is_rotated_later(unbuffered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    number = 0
    with closing(open_log(path, max_bytes=100_000, keep=1)) as log:
        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("SELECT count(*) FROM results").fetchone() == (0,)
            while reader.execute("PRAGMA page_count").fetchone()[0] * 4096 < 110_000:
                log.take(a_result(number))
                number += 1
            assert not rotated_path(path, 1).exists()
        log.take(a_result(number))
        assert rotated_path(path, 1).exists()
    assert frames_in(rotated_path(path, 1)) == list(range(number))
    assert frames_in(path) == [number]


@both
def test_a_log_that_is_deleted_or_moved_during_a_run_is_created_again(
    unbuffered: None, name: str, tmp_path: Path
) -> None:
    path, moved = tmp_path / name, tmp_path / f"moved-{name}"
    with closing(open_small(path)) as log:
        log.take(a_result(0))
        path.rename(moved)
        log.take(a_result(1))
        path.unlink()
        log.take(a_result(2))
    assert frames_in(path) == [2]


def test_another_file_that_replaces_the_log_during_a_run_is_not_modified(unbuffered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with closing(open_small(path)) as log:
        log.take(a_result(0))
        path.unlink()
        path.write_text("my notes\n")
        with pytest.raises(WriteError, match="got a different first line"):
            log.take(a_result(1))
        assert path.read_text() == "my notes\n"
        path.unlink()
        log.take(a_result(2))
    assert frames_in(path) == [2]


_WRITER = """
import sys
from pathlib import Path
from tests.runtime.outputs.test_result_log import a_result, open_large
log = open_large(Path(sys.argv[1]))
for number in range(10**9):
    log.take(a_result(number))
    if number % 10 == 0:
        log.flush()
        print(number, flush=True)
"""


@both
def test_a_log_whose_writer_was_killed_is_intact_and_can_be_continued(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(30):
            flushed = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    with closing(open_large(path)) as log:
        log.take(a_result(-1))
    *numbers, last = frames_in(path)
    assert last == -1
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > flushed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; SQLite's write-ahead log takes half of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own needs root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk completely and return the file that does."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


@both
def test_on_a_full_disk_every_item_fails_until_there_is_space_again(
    unbuffered: None, name: str, small_disk: Path
) -> None:
    path = small_disk / name
    failed: list[int] = []
    messages: set[str] = set()
    with closing(open_large(path)) as log:
        for number in range(1000):
            if number == 100:
                filler = fill(small_disk)
            if number == 900:
                filler.unlink()
            try:
                log.take(a_result(number))
            except WriteError as error:
                failed.append(number)
                messages.add(str(error))
    # The rest of a page that is already in use can still be written.
    assert failed == list(range(failed[0], 900))
    assert 100 <= failed[0] < 800
    (line,) = messages
    assert line.startswith(f"cannot write {path}: ") and line.endswith("; free some space or choose another location")
    assert frames_in(path) == [number for number in range(1000) if number not in failed]


@both
def test_records_buffered_while_the_disk_was_full_are_written_when_there_is_space(
    buffered: None, name: str, small_disk: Path
) -> None:
    path = small_disk / name
    with closing(open_large(path)) as log:
        for number in range(200):
            log.take(a_result(number))
        filler = fill(small_disk)
        for _ in range(3):
            with pytest.raises(WriteError):
                log.flush()
        assert frames_in(path) == [0]
        filler.unlink()
        log.flush()
        assert frames_in(path) == list(range(200))


@both
def test_buffered_records_count_as_lost_if_the_disk_is_full_until_the_end(
    buffered: None, name: str, small_disk: Path
) -> None:
    path = small_disk / name
    log = open_large(path)
    for number in range(201):
        log.take(a_result(number))
    fill(small_disk)
    with pytest.raises(ItemsLost, match="the last 200 records are lost") as caught:
        log.close()
    assert caught.value.items == 200
    assert frames_in(path) == [0]


def test_records_of_results_and_events_have_all_columns() -> None:
    assert tuple(log_record(a_result())) == tuple(log_record(an_event())) == COLUMNS
