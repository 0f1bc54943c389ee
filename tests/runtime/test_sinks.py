from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from edgecnn.cli.live_line import LiveLine
from edgecnn.core.errors import WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.runtime.sinks import JsonLines, Result, StopRun, result_record


def a_result(*, label: str = "cat", source: str = "camera 0", number: int = 7) -> Result:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), source, number, 1700000000.25, 1, 1.5)
    top = (Score(label, 3, 0.75), Score("dog", 1, 0.25))
    return Result(frame, Prediction(top, StageLatency(0.5, 4.0, 0.125)), 40.0, 2)


def test_a_record_has_exactly_the_documented_keys() -> None:
    assert result_record(a_result()) == {
        "source": "camera 0",
        "frame": 7,
        "captured_at": 1700000000.25,
        "age_ms": 40.0,
        "label": "cat",
        "index": 3,
        "score": 0.75,
        "top": [{"label": "cat", "index": 3, "score": 0.75}, {"label": "dog", "index": 1, "score": 0.25}],
        "latency_ms": {"capture": 1.5, "preprocess": 0.5, "invoke": 4.0, "postprocess": 0.125},
        "dropped": 2,
    }
    assert list(result_record(a_result())) == (
        ["source", "frame", "captured_at", "age_ms", "label", "index", "score", "top", "latency_ms", "dropped"]
    )


def test_every_json_line_is_flushed_immediately(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with path.open("w") as stream:
        sink = JsonLines(stream)
        for count in (1, 2, 3):
            sink(a_result(label="naïve\ncat"))
            lines = path.read_text().splitlines()
            assert len(lines) == count
            assert json.loads(lines[-1])["label"] == "naïve\ncat"


@pytest.mark.parametrize("sink_type", [JsonLines, LiveLine])
def test_a_closed_pipe_ends_the_run_without_an_error(sink_type: type[JsonLines | LiveLine]) -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    os.close(reading)
    with pytest.raises(StopRun) as stop:
        sink_type(stream)(a_result())
    assert stop.value.ended == "output closed"
    with pytest.raises(BrokenPipeError):
        stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_one_line_error() -> None:
    # Closing the stream tries to write again, and fails too.
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as stream:
        with pytest.raises(WriteError, match="No space left") as caught:
            JsonLines(stream)(a_result())
        assert "\n" not in str(caught.value)


def test_without_a_terminal_every_result_is_a_plain_line() -> None:
    stream = io.StringIO()
    with LiveLine(stream) as sink:
        sink(a_result(number=0))
        sink(a_result(number=1, source="photos/a.jpg"))
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"cat 75\.0%  0\.0 fps  age 40 ms  dropped 2  camera 0 #0", first)
    assert second.endswith("photos/a.jpg #1")
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_on_a_terminal_one_line_is_rewritten_and_the_last_result_remains() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        with LiveLine(terminal) as sink:
            for number in range(50):
                sink(a_result(number=number, source="x" * 200))
            sink(a_result(number=50))
        shown = ""
        while "\n" not in shown:
            shown += os.read(master, 100_000).decode()
    os.close(master)
    drawn_lines = shown.split("\r")
    assert shown.endswith("\n")
    assert "camera 0 #50" in shown
    assert all(len(text.removesuffix("\x1b[K")) < 80 for text in drawn_lines[:-1] if "x" in text)


def test_labels_that_a_stream_cannot_encode_are_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    LiveLine(stream)(a_result(label="café\x1b[2J", source="bad\udcff.jpg"))
    written = raw.getvalue().decode("ascii")
    assert "caf\\xe9?[2J" in written
    assert "\x1b" not in written and written.count("\n") == 1
