from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.cli.commands import finish, run_apart, start
from tests.runtime.sources.loopback_camera import LoopbackCamera, write_numbered_video

STAGES = ["capture", "preprocess", "invoke", "postprocess", "total", "age"]


def stages_in(lines: list[str]) -> list[str]:
    """Return the stages whose times a summary contains."""
    return [line.split()[0] for line in lines if " p50 " in line]


def test_ctrl_c_ends_a_run_with_status_130_and_a_summary(color_model: Path) -> None:
    with LoopbackCamera() as camera:
        process = start("run", color_model, "--source", camera.address, "--json")
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        outcome = finish(process)
    assert first["source"] == camera.address
    assert outcome.status == 130
    assert outcome.errors == []
    assert outcome.log[0].startswith("interrupted: ")
    assert stages_in(outcome.log) == STAGES
    assert all(json.loads(line)["source"] == camera.address for line in outcome.stdout.splitlines())


def test_a_camera_that_dies_leaves_a_summary_and_one_error_line(color_model: Path) -> None:
    with LoopbackCamera() as camera:
        process = start("run", color_model, "--source", camera.address, "--no-retry", "--json")
        assert process.stdout is not None
        process.stdout.readline()
        camera.die()
        outcome = finish(process)
    assert outcome.status == 1
    assert outcome.log[0].startswith("camera lost: ")
    assert stages_in(outcome.log) == STAGES
    assert outcome.errors == [outcome.log[-1]]


def test_a_camera_that_dies_and_comes_back_is_used_again_until_sigterm(color_model: Path) -> None:
    with LoopbackCamera() as camera:
        process = start("run", color_model, "--source", camera.address, "--json")
        assert process.stdout is not None
        process.stdout.readline()
        camera.die()
        back_at = time.time()
        camera.come_back()
        while json.loads(process.stdout.readline())["captured_at"] < back_at + 0.5:
            pass
        process.send_signal(signal.SIGTERM)
        outcome = finish(process)
    assert outcome.status == 0
    lost, back, ended = outcome.log[:3]
    assert lost.startswith(f"{camera.address} is lost, opening it again: ")
    assert back.startswith(f"{camera.address} is back")
    assert ended.startswith("stopped: ")
    assert "reconnected 1 time" in outcome.log


def test_two_sources_share_one_model(color_model: Path) -> None:
    sources = ("--source", "pattern:128x96@20", "--source", "pattern:64x64@20")
    outcome = run_apart("run", color_model, *sources, "--max-frames", 20, "--json")
    assert outcome.status == 0
    seen = [json.loads(line)["source"] for line in outcome.stdout.splitlines()]
    assert len(set(seen)) == 2
    assert all(8 <= seen.count(source) <= 12 for source in seen)


def test_results_contain_decisions_and_events_are_separate_lines(exported: dict[str, Path]) -> None:
    options = ("--smooth", "none", "--unknown", "score=0.0", "--max-frames", 40, "--json")
    outcome = run_apart("run", exported["int8"], "--source", "pattern:128x96@30", *options)
    records = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert "decision" in next(record for record in records if "frame" in record)
    assert next(record["event"] for record in records if "event" in record) == "entered"


def test_a_closed_pipe_ends_a_run_quietly(color_model: Path, tmp_path: Path) -> None:
    video = write_numbered_video(tmp_path / "a.avi", 2000)
    process = start("run", color_model, "--source", video, "--json")
    assert process.stdout is not None and process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        logged = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert "output closed: " in logged
    assert "error" not in logged and "Traceback" not in logged and "BrokenPipe" not in logged


def test_a_closed_pipe_ends_classify_quietly(color_model: Path, color_photos: Path) -> None:
    process = start("classify", color_model, color_photos, color_photos, color_photos, color_photos, "--json")
    assert process.stdout is not None and process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        logged = process.stderr.read()
    assert "error" not in logged and "Traceback" not in logged and "BrokenPipe" not in logged


def test_a_run_stops_after_the_requested_number_of_frames(color_model: Path, tmp_path: Path) -> None:
    video = write_numbered_video(tmp_path / "a.avi", 30)
    outcome = run_apart("run", color_model, "--source", video, "--max-frames", 7)
    assert outcome.status == 0
    assert len(outcome.stdout.splitlines()) == 7
    assert outcome.log[0].startswith("max frames: 7 frames in ")
    assert "dropped 0, unreadable 0" in outcome.log


def test_every_line_of_a_live_run_is_flushed_at_once(color_model: Path) -> None:
    with LoopbackCamera(per_second=5) as camera:
        process = start("run", color_model, "--source", camera.address, "--json")
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        # The newest line belongs to a recent picture, so no line waits in a buffer for later ones.
        assert time.time() - lines[-1]["captured_at"] < 30
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        finish(process)
    assert [line["frame"] for line in lines] == sorted({line["frame"] for line in lines})
