"""Tests of `edgecnn benchmark --on`, which measures on a device over a real ssh and stores the report here."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from edgecnn.core.model_file.model_file import append_associated_files
from edgecnn.core.precision import Precision
from tests.cli.commands import Outcome, finish, json_of, run_here, start
from tests.colors import write_color, write_color_model, write_color_photos
from tests.deploy.on_device import Replace, wait_until
from tests.deploy.small_device import ADDRESS, SmallDevice
from tests.pixel_model import pixel_card

BRIEF = ("--queries", 16, "--seconds", 0)
ADVICE = f"edgecnn deploy MODEL {ADDRESS} installs this edgecnn there"


def benchmark_remote(device: SmallDevice, model: Path, *arguments: object) -> Outcome:
    return run_here("benchmark", model, *BRIEF, "--on", ADDRESS, "--ssh-config", device.ssh_config, *arguments)


def test_the_device_gets_only_the_chosen_photos_and_decides_as_here(
    small_device: SmallDevice, exported: dict[Precision, Path], digits: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(exported["int8"].parent.parent, tmp_path / "digits")
    model, baseline = (run / "export" / exported[precision].name for precision in ("int8", "float32"))
    arguments = ("--baseline", baseline, "--data", digits, "--limit", 20, "--threads", "1,2")
    here = json_of("benchmark", model, *BRIEF, *arguments, "--out", tmp_path / "here.json")
    outcome = benchmark_remote(small_device, model, *arguments, "--out", tmp_path / "there.json", "--json")
    assert outcome.status == 0, outcome.stderr
    there = json.loads(outcome.stdout)
    assert json.loads((tmp_path / "there.json").read_text()) == there
    assert json.loads((run / "results" / f"{model.stem}.benchmark.json").read_text()) == there
    assert there["photos"] == here["photos"] and there["photos"]["found"] > 100
    assert "reading photos: 20 done" in outcome.log and "measuring latency: 48 done" in outcome.log
    assert there["baseline"]["name"] == here["baseline"]["name"]
    compared = json_of("compare", tmp_path / "here.json", tmp_path / "there.json")
    assert compared["reports"][1]["agreement"] == {"n": 20, "agreement": 1.0, "differing": []}


def test_the_table_is_printed_here_with_the_log_of_the_device(small_device: SmallDevice, model: Path) -> None:
    outcome = benchmark_remote(small_device, model)
    assert outcome.status == 0, outcome.stderr
    assert "milliseconds per frame, 1 thread" in outcome.stdout and "colors: cold start " in outcome.stdout
    assert "measuring latency: 16 done" in outcome.log


def test_classes_named_like_splits_are_classes(small_device: SmallDevice, tmp_path: Path) -> None:
    names = ("test", "val", "zebra")
    model = write_color_model(tmp_path / "odd.tflite", names)
    for channel, name in enumerate(names):
        (tmp_path / "photos" / name).mkdir(parents=True)
        write_color(tmp_path / "photos" / name / "a.png", channel)
    outcome = benchmark_remote(small_device, model, "--data", tmp_path / "photos", "--limit", 2, "--json")
    assert outcome.status == 0, outcome.stderr
    assert [decision["predicted"] for decision in json.loads(outcome.stdout)["decisions"]] == ["test", "val"]


def test_a_model_that_fails_on_the_device_gives_the_error_of_the_device(
    small_device: SmallDevice, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(append_associated_files(b"\x18\0\0\0TFL3" + bytes(64), pixel_card(1, 1)))
    outcome = benchmark_remote(small_device, broken, "--out", tmp_path / "report.json")
    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)
    assert "cannot run 1/broken.tflite" in outcome.errors[0]
    assert not (tmp_path / "report.json").exists()


def test_photos_are_checked_before_anything_is_sent(tmp_path: Path, model: Path) -> None:
    photos = write_color_photos(tmp_path / "photos", 1)
    (photos / "red").rename(photos / "purple")
    outcome = run_here("benchmark", model, "--data", photos, "--on", "ssh://pi@127.0.0.1:1")
    assert outcome.status == 1 and "'purple' is not a class of" in outcome.errors[0]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("exit 2", f"edgecnn on {ADDRESS} is a different version; {ADVICE}"),
        (
            "echo '{\"format_version\": 1}'",
            f"the report from {ADDRESS} is a benchmark report of format version 1, expected 2",
        ),
        ("echo '{\"format_version\": 2}'", f"the report from {ADDRESS} is "),
        ("echo hello", f"expected a benchmark report in JSON from {ADDRESS}, got 'hello'; {ADVICE}"),
        ("echo 1", f"expected a benchmark report in JSON from {ADDRESS}, got '1'; {ADVICE}"),
    ],
)
def test_an_invalid_report_from_the_device_gives_a_one_line_error(
    small_device: SmallDevice, model: Path, other_edgecnn: Replace, script: str, line: str
) -> None:
    other_edgecnn(script)
    outcome = benchmark_remote(small_device, model)
    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)
    assert outcome.errors[0].startswith(f"error: {line}") and outcome.errors[0].endswith(ADVICE)


def test_a_report_of_another_version_in_the_same_format_is_accepted_with_a_note(
    small_device: SmallDevice, model: Path, other_edgecnn: Replace
) -> None:
    other_edgecnn('"$0.before" "$@" | sed \'s/"edgecnn": ".*"/"edgecnn": "0.0.9"/\'')
    outcome = benchmark_remote(small_device, model, "--json")
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["environment"]["edgecnn"] == "0.0.9"
    assert [line for line in outcome.log if line.startswith("measured by edgecnn 0.0.9, this is ")]


def test_ctrl_c_stops_the_device_too_and_leaves_nothing(small_device: SmallDevice, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    remote = ("--on", ADDRESS, "--ssh-config", small_device.ssh_config)
    process = start("benchmark", model, *remote, "--out", out, EDGECNN_CACHE=str(tmp_path))
    wait_until(lambda: is_measuring(small_device))
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert (outcome.status, outcome.stdout) == (130, "")
    assert outcome.log[-1] == "interrupted before the measurement was complete; nothing was written"
    assert not out.exists()
    wait_until(lambda: not is_measuring(small_device))


def is_measuring(device: SmallDevice) -> bool:
    """Return True while the device measures a model that was sent to it."""
    return "-m edgecnn benchmark 1/" in device.ask("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
