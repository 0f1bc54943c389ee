"""`edgecnn run` with every output, started as a user starts it."""

from __future__ import annotations

import csv
import json
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from tests.cli.commands import TIMEOUT_S, finish, refusal, run_apart, start
from tests.runtime.sources.loopback_camera import LoopbackCamera, write_numbered_video

FRAMES = 12


def logged_address(process: subprocess.Popen[str]) -> str:
    """Return the address of the page from the line on stderr that names it."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("live at "):
            return line.removeprefix("live at ").strip()
    raise AssertionError("no page was logged")


def test_files_are_written_in_addition_to_the_results(color_model: Path, tmp_path: Path) -> None:
    video = write_numbered_video(tmp_path / "in.avi", FRAMES)
    outcome = run_apart(
        "run",
        color_model,
        "--source",
        video,
        "--json",
        *("--log", tmp_path / "log.csv"),
        *("--record", tmp_path / "seen.avi"),
        *("--save-uncertain", tmp_path / "unsure", "--uncertain", "score=1.0"),
    )
    assert outcome.status == 0, outcome.stderr
    results = [json.loads(line) for line in outcome.stdout.splitlines()]
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["label"]) for row in rows] == [
        (str(result["frame"]), result["label"]) for result in results
    ]
    assert len(rows) == FRAMES
    recorded = cv2.VideoCapture(str(tmp_path / "seen.avi"))
    assert recorded.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    unsure = [result for result in results if result["score"] < 1.0]
    assert len(list((tmp_path / "unsure").rglob("*.jpg"))) == len(unsure)
    assert f"log {tmp_path / 'log.csv'}: {FRAMES} delivered" in outcome.log


def test_events_are_logged_too(exported: dict[str, Path], tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    options = ("--smooth", "none", "--unknown", "score=0.0", "--max-frames", 40, "--log", log)
    outcome = run_apart("run", exported["int8"], "--source", "pattern:128x96@30", *options)
    assert outcome.status == 0, outcome.stderr
    with closing(sqlite3.connect(log)) as database:
        assert database.execute("select count(*) from results").fetchone() == (40,)
        assert database.execute("select kind from events order by time").fetchone() == ("entered",)


def test_the_page_is_logged_and_shows_the_run_until_sigterm(color_model: Path) -> None:
    process = start("run", color_model, "--source", "pattern:320x240@30", "--json", "--serve", "0")
    assert process.stdout is not None
    address = logged_address(process)
    first = json.loads(process.stdout.readline())
    assert first["source"] == "pattern:320x240@30"
    with urllib.request.urlopen(f"{address}metrics", timeout=TIMEOUT_S) as answer:
        metrics = answer.read().decode()
    assert "pattern:320x240@30" in metrics
    with urllib.request.urlopen(f"{address}snapshot.jpg", timeout=TIMEOUT_S) as answer:
        assert answer.read()[:2] == b"\xff\xd8"
    process.send_signal(signal.SIGTERM)
    assert finish(process).status == 0


def test_the_page_for_the_network_has_a_token_that_is_logged_once(color_model: Path) -> None:
    process = start(
        "run", color_model, "--source", "pattern@30", "--json", "--serve", ":0", EDGECNN_TOKEN="a-good-token"
    )
    assert logged_address(process).endswith("?token=a-good-token")
    process.send_signal(signal.SIGTERM)
    outcome = finish(process)
    assert outcome.status == 0
    assert "a-good-token" not in outcome.stderr + outcome.stdout


def test_a_stalled_camera_viewer_and_broker_do_not_delay_the_end(color_model: Path) -> None:
    with LoopbackCamera() as camera, socket.create_server(("127.0.0.1", 0)) as silent:
        broker = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        process = start("run", color_model, "--source", camera.address, "--json", "--serve", "0", "--mqtt", broker)
        assert process.stdout is not None
        address = logged_address(process)
        process.stdout.readline()
        viewer = socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1].strip("/"))))
        viewer.sendall(f"GET /stream/0.mjpg HTTP/1.1\r\nHost: {address.split('/')[2]}\r\n\r\n".encode())
        camera.stalled.set()
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        started_s = time.monotonic()
        process.wait(TIMEOUT_S)
        # Two seconds are promised; a busy machine gets some more.
        assert time.monotonic() - started_s < 5
        viewer.close()
        assert finish(process).status == 0


def test_systemd_is_notified_of_the_first_result_and_of_each_turn(color_model: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(TIMEOUT_S)
        process = start(
            *("run", color_model, "--source", "pattern@30", "--json"),
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="200000",
        )
        received: list[str] = []
        while received.count("WATCHDOG=1") < 3 or "READY=1" not in received:
            received.append(manager.recv(4096).decode())
        process.send_signal(signal.SIGTERM)
        while received[-1] != "STOPPING=1":
            received.append(manager.recv(4096).decode())
        assert finish(process).status == 0
    assert received.count("READY=1") == 1
    assert "STATUS=classifying" in received


def test_threads_auto_logs_its_measurement(color_model: Path) -> None:
    outcome = run_apart("run", color_model, "--source", "pattern@0", "--max-frames", "1", "--threads", "auto")
    assert outcome.status == 0
    assert outcome.log[0].startswith("threads: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "many"), "expected threads as a number of 1 or more, or auto, got 'many'"),
        (("--threads", "0"), "got '0'"),
        (("--delegate", "/nowhere/libnone.so"), "/nowhere/libnone.so"),
        (("--home-assistant",), "add --mqtt mqtt://HOST"),
        (("--mqtt", "http://broker"), "expected mqtt://"),
        (("--log", "results.txt"), "results.txt"),
        (("--log", "results.csv", "--log-size", "big"), "'big'"),
        (("--record", "seen.gif"), "seen.gif"),
        (("--save-uncertain", "unsure", "--uncertain", "entropy=0.5"), "entropy"),
        (("--serve", "8080:x"), "8080:x"),
        (("--serve", "0", "--token", "short"), "8"),
    ],
)
def test_invalid_options_are_refused_in_one_line_and_leave_no_file(
    arguments: tuple[str, ...], message: str, color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal("run", color_model, "--source", "pattern@0", *arguments)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
