"""Tests of the scripts in `benchmarks/`; the runs are so short that their figures mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.bench.frames import synthetic_frames
from edgecnn.core.precision import Precision
from edgecnn.runtime.inference.classifier import Classifier, load_model
from tests.runtime.sources.rtsp_camera import why_no_rtsp_camera

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MEDIAPIPE_VENV = os.environ.get("EDGECNN_MEDIAPIPE_VENV")
BRIEF = ("--rounds", 2, "--block", 4, "--warm-up", 2)


def record_of(script: str, out: Path, *arguments: object) -> dict[str, Any]:
    """Run a script and return the record that it writes to `out`."""
    command = [sys.executable, str(BENCHMARKS / script), *(str(each) for each in arguments), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(out.read_text())
    return record


def mediapipe_or_skip() -> Path:
    if not MEDIAPIPE_VENV:
        pytest.skip("EDGECNN_MEDIAPIPE_VENV is not set: make test makes an environment with mediapipe")
    return Path(MEDIAPIPE_VENV)


def test_every_contender_classifies_the_same_frames(exported: dict[Precision, Path], tmp_path: Path) -> None:
    names = ["bare_invoke", "edgecnn", "tutorial", "opencv_dnn"]
    models = ("--model", exported["int8"], "--float-model", exported["float32"])
    record = record_of("runtime.py", tmp_path / "runtime.json", *models, *BRIEF, "--contenders", *names)
    assert (list(record["contenders"]), record["absent"]) == (names, {})
    for name in names:
        blocks = record["samples"][name]
        assert [len(block["samples_ms"]) for block in blocks] == [4, 4]
        assert all(sum(block["samples_ms"]) == pytest.approx(block["seconds"] * 1000) for block in blocks)
        assert record["contenders"][name]["fps"] == pytest.approx(8 / sum(block["seconds"] for block in blocks))
    assert [goal["what"] for goal in record["goals"]] == [
        "time of edgecnn / bare_invoke",
        "fps of edgecnn / opencv_dnn",
    ]
    classifier = Classifier(load_model(exported["int8"]))
    frames = [np.ascontiguousarray(bgr[..., ::-1]) for bgr in synthetic_frames(480, 640, 16, seed=0)]
    assert record["answers"]["edgecnn"] == [classifier.classify(frame).best.index for frame in frames]


def test_mediapipe_runs_in_its_own_environment(exported: dict[Precision, Path], tmp_path: Path) -> None:
    environments = tmp_path / "environments"
    environments.mkdir()
    (environments / "mediapipe").symlink_to(mediapipe_or_skip())
    arguments = ("--model", exported["int8"], *BRIEF, "--environments", environments)
    record = record_of("runtime.py", tmp_path / "runtime.json", *arguments, "--contenders", "edgecnn", "mediapipe")
    assert (list(record["contenders"]), record["absent"]) == (["edgecnn", "mediapipe"], {})
    assert [goal["what"] for goal in record["goals"]] == ["fps of edgecnn / mediapipe"]


def test_a_peer_that_cannot_run_is_recorded_with_its_reason(exported: dict[Precision, Path], tmp_path: Path) -> None:
    program = tmp_path / "teachable_machine_lite" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'last words' >&2\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "teachable_machine_lite" / ".ready").touch()
    arguments = ("--model", exported["int8"], *BRIEF, "--environments", tmp_path)
    names = ("bare_invoke", "opencv_dnn", "teachable_machine_lite")
    record = record_of("runtime.py", tmp_path / "runtime.json", *arguments, "--contenders", *names)
    assert (list(record["contenders"]), record["goals"]) == (["bare_invoke"], [])
    assert "--float-model" in record["absent"]["opencv_dnn"]
    assert record["absent"]["teachable_machine_lite"] == "last words"


@pytest.mark.parametrize("transport", ["http", "rtsp-jpeg", "rtsp-h264"])
def test_the_age_of_a_frame_is_measured_with_each_transport(
    transport: str, exported: dict[Precision, Path], tmp_path: Path
) -> None:
    if transport != "http" and (reason := why_no_rtsp_camera()):
        pytest.skip(reason)
    arguments = ("--model", exported["int8"], "--seconds", 3, "--transports", transport)
    record = record_of("freshness.py", tmp_path / "freshness.json", *arguments)
    if "openh264enc" in record["absent"].get(transport, ""):
        pytest.skip(record["absent"][transport])
    assert record["absent"] == {}
    assert [run["cameras"] for run in record["runs"]] == [1, 2]
    for run in record["runs"]:
        assert len(run["samples"]) == run["cameras"]
        for samples, source in zip(run["samples"], run["sources"], strict=True):
            assert len(samples) == source["results"] > 0
            assert source["dropped"] > 0
            numbers = [sample["number"] for sample in samples]
            assert numbers == sorted(set(numbers))
            for sample in samples:
                assert sample["work_ms"] >= record["protocol"]["consumer_ms"]
                parts_ms = sample["arrival_ms"] + sample["waited_ms"] + sample["work_ms"]
                assert sample["age_ms"] == pytest.approx(parts_ms)


def test_faults_are_counted_and_recovered_from_without_leaks(exported: dict[Precision, Path], tmp_path: Path) -> None:
    counts = ("--frames", 300, "--warm-up", 100, "--every", 50, "--faults", 8, "--deaths", 1)
    record = record_of("endurance.py", tmp_path / "endurance.json", "--model", exported["int8"], *counts)
    rss_bytes = record["frames"]["samples"]["rss_bytes"]
    assert len(rss_bytes) == 300 / 50
    assert record["frames"]["growth_bytes"] == max(rss_bytes[1:]) - rss_bytes[1]
    faults = record["faults"]
    assert (faults["happened"], faults["status"]["reconnects"]) == (9, 9)
    assert len(faults["samples"]["rss_bytes_at_recovery"]) == 9
    assert [goal["met"] for goal in faults["goals"]] == [True, True, True]


def test_the_program_for_instruction_counts_runs(exported: dict[Precision, Path]) -> None:
    program = BENCHMARKS / "instructions" / "classify_frames.py"
    done = subprocess.run([sys.executable, program, exported["int8"], "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout or "null")) == (0, [8, 7]), done.stderr


def test_the_first_line_of_every_program_is_a_label(exported: dict[Precision, Path], tmp_path: Path) -> None:
    arguments = ("--model", exported["int8"], "--python", sys.executable, "--rounds", 2)
    record = record_of("start.py", tmp_path / "start.json", *arguments)
    samples = record["samples"]
    assert {name: len(starts) for name, starts in samples.items()} == {"run": 2, "classify": 2, "tutorial": 2}
    labels = load_model(exported["int8"]).labels
    assert labels is not None
    assert all(json.loads(start["line"])["label"] in labels for name in ("run", "classify") for start in samples[name])
    # Cropping does not change a picture of one color.
    assert int(samples["tutorial"][0]["line"]) == json.loads(samples["classify"][0]["line"])["index"]
    # The unit is bytes on every system: no Python with OpenCV is smaller or larger.
    assert all(10e6 < start["peak_rss_bytes"] < 1e9 for starts in samples.values() for start in starts)


def test_training_and_its_peer_see_the_same_photos(few_digits: Path, tmp_path: Path) -> None:
    few = ("--per-class", 2, "--epochs", 1, "--rounds", 1)
    record = record_of("training.py", tmp_path / "training.json", "--data", few_digits, *few)
    assert record["protocol"]["photos"] == {"test": 6, "train": 6, "validation": 6}
    assert {name: len(runs) for name, runs in record["samples"].items()} == {
        "keras": 1,
        "edgecnn": 1,
        "edgecnn again": 1,
    }
    (history,), programs = record["peer_histories"], record["programs"]
    assert programs["keras"]["validation_accuracy"] == history["val_accuracy"][-1]
    assert programs["edgecnn"]["validation_accuracy"] == programs["edgecnn again"]["validation_accuracy"]
    seconds = {name: program["seconds_p50"] for name, program in programs.items()}
    ratios = [seconds["keras"] / seconds[name] for name in ("edgecnn", "edgecnn again")]
    assert [goal["value"] for goal in record["goals"][:2]] == pytest.approx(ratios)
    assert all(100e6 < run["peak_rss_bytes"] < 10e9 for runs in record["samples"].values() for run in runs)
