from __future__ import annotations

from pathlib import Path

from edgecnn.training.networks.catalog import backbone_spec
from tests.cli.commands import json_of, refusal, run_here

SUMMARY = {"name", "input", "output", "parameters", "trainable", "macs", "by_kind", "layers"}
LAYER = {
    *("name", "kinds", "inputs", "kernel", "stride", "padding", "output", "parameters", "trainable", "macs"),
    "receptive_field",
}
NARROW = ("summary", "mobilenet_v2", "--alpha", 0.35)


def test_the_table_groups_layers_and_ends_with_the_totals() -> None:
    shown = run_here(*NARROW).stdout
    assert "Conv2D BatchNorm ReLU6" in shown
    assert "224x224x3" in shown and "491x491" in shown
    cells = {line.split("│")[1].strip(): line.split() for line in shown.splitlines() if line.startswith("│")}
    stem = [cell for cell in cells["Conv1"] if cell != "│"]
    assert stem[4:] == ["3x3", "2", "0+1", "112x112x16", "496", "5.42", "M", "9.1%", "3x3"]
    assert "1,691,208" in cells["total"]
    assert "parameters and MACs by kind of layer" in shown and "Conv2D 1x1" in shown


def test_all_shows_every_layer() -> None:
    few, every = (run_here(*NARROW, *more).stdout for more in ((), ("--all",)))
    assert "bn_Conv1" in every and "bn_Conv1" not in few
    assert len(every.splitlines()) > 2 * len(few.splitlines())


def test_summary_prints_one_object_with_every_layer() -> None:
    spec = backbone_spec("mobilenet_v2", 0.35)
    record = json_of(*NARROW)
    assert set(record) == SUMMARY
    assert all(set(layer) == LAYER for layer in record["layers"])
    assert (record["trainable"], record["macs"]) == (spec.parameters, spec.macs)
    assert sum(kind["macs"] for kind in record["by_kind"]) == spec.macs
    assert record["layers"][1]["padding"] == [[0, 1], [0, 1]]


def test_a_backbone_is_shown_with_the_requested_head_and_size() -> None:
    record = json_of(*NARROW, "--height", 64, "--width", 96, "--classes", 7)
    assert (record["input"], record["output"]) == ([64, 96, 3], [7])


def test_a_run_is_shown_as_it_was_trained(trained_run: Path) -> None:
    record = json_of("summary", trained_run)
    assert (record["input"], record["output"], record["trainable"]) == ([64, 64, 3], [10], 12_810)


def test_unusable_names_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "did you mean 'mobilenet_v2'" in refusal("summary", "mobilenetv2")
    assert f"{tmp_path} is not a run folder" in refusal("summary", tmp_path)
    assert "try edgecnn inspect clothes.tflite" in refusal("summary", "clothes.tflite")
    assert "a run has its own" in refusal("summary", tmp_path, "--classes", 3)
    assert "at least 32x32" in refusal(*NARROW, "--height", 16)
