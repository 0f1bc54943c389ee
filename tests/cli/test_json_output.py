from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn.core.dataset import Example
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.precision import Precision
from edgecnn.core.run.run_folder import RunFolder, RunRecord
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.pipeline.video import write_video
from tests.cli.commands import json_lines_of, json_of, run_here
from tests.colors import COLORS, write_color

RESULT = {
    *("source", "frame", "captured_at", "age_ms", "label", "index", "score", "top", "latency_ms", "dropped"),
}
METRICS = {
    *("n", "top1", "top5", "macro_precision", "macro_recall", "macro_f1"),
    *("weighted_precision", "weighted_recall", "weighted_f1", "auc_roc", "ece", "mce", "brier"),
    *("per_class", "confusion", "reliability", "roc", "threshold"),
}
CLASS_METRICS = {"label", "precision", "recall", "f1", "support", "auc_roc"}
EVALUATION = METRICS | {"baseline", "paired", "gate"}
BENCHMARK = {
    *("format_version", "created", "model", "environment", "protocol", "conditions", "cold_start_ms"),
    *("peak_rss_bytes", "stages", "energy", "accuracy", "decisions", "sweep", "photos", "paired", "valid"),
    *("invalid_reasons", "baseline", "speedup_p50", "size_ratio", "samples"),
}
STAGES = {"preprocess", "invoke", "postprocess", "total"}
STATISTICS = {"n", "mean_ms", "std_ms", "min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"}
DESCRIPTION = {
    *("path", "size_bytes", "sha256", "runtime", "card", "labels", "preprocess", "inputs", "outputs"),
    *("tensors", "operators"),
}
BACKBONE = {
    *("name", "alpha", "paper", "height", "width", "channels", "mean", "std", "crop_fraction", "min_size"),
    *("features", "classes", "parameters", "statistics", "macs", "dropout", "weights", "weights_license"),
    "pretrained",
}


def check_result(line: dict[str, Any], source: Path, label: str) -> None:
    assert set(line) == RESULT
    assert (line["source"], line["label"], line["dropped"]) == (str(source), label, 0)
    assert all(set(score) == {"label", "index", "score"} for score in line["top"])
    assert line["top"][0] == {key: line[key] for key in ("label", "index", "score")}
    assert set(line["latency_ms"]) == {"capture", "preprocess", "invoke", "postprocess"}


def test_classify_prints_one_line_per_image(color_model: Path, tmp_path: Path) -> None:
    paths = [write_color(tmp_path / f"{name}.png", channel) for channel, name in enumerate(COLORS)]
    lines = json_lines_of("classify", color_model, *paths, "--top-k", 2)
    for line, path, label in zip(lines, paths, COLORS, strict=True):
        check_result(line, path, label)
        assert len(line["top"]) == 2


def test_classify_finds_the_images_of_a_folder(color_model: Path, color_photos: Path) -> None:
    lines = json_lines_of("classify", color_model, color_photos / "green")
    assert [line["label"] for line in lines] == ["green"] * 60


def test_run_prints_one_line_per_image_of_a_folder(color_model: Path, color_photos: Path) -> None:
    lines = json_lines_of("run", color_model, "--source", color_photos / "blue")
    for number, line in enumerate(lines):
        check_result(line, color_photos / "blue" / f"{number:03}.png", "blue")
        assert line["frame"] == number
    assert len(lines) == 60


def test_run_prints_one_line_per_frame_of_a_video(color_model: Path, tmp_path: Path) -> None:
    paths = [write_color(tmp_path / f"{name}.png", channel) for channel, name in enumerate(COLORS)]
    video = tmp_path / "test.avi"
    write_video(video, [Example(path, index, "") for index, path in enumerate(paths)])
    lines = json_lines_of("run", color_model, "--source", video)
    for number, (line, label) in enumerate(zip(lines, COLORS, strict=True)):
        check_result(line, video, label)
        assert line["frame"] == number


def test_evaluate_prints_one_object(color_model: Path, color_photos: Path) -> None:
    record = json_of("evaluate", color_model, color_photos, "--baseline", color_model, "--max-drop", 10)
    assert set(record) == EVALUATION
    assert set(record["baseline"]) == METRICS
    assert set(record["paired"]) == {"delta_top1", "ci95", "agreement", "p_value"}
    assert set(record["gate"]) == {"max_drop", "passed"}
    assert [set(metrics) for metrics in record["per_class"]] == [CLASS_METRICS] * 3
    assert (record["n"], record["top1"]) == (180, 1.0)


def test_evaluate_without_a_baseline_has_the_same_keys(color_model: Path, color_photos: Path) -> None:
    record = json_of("evaluate", color_model, color_photos)
    assert set(record) == EVALUATION
    assert [record[key] for key in ("baseline", "paired", "gate")] == [None] * 3


@pytest.mark.parametrize("with_baseline", [True, False])
def test_benchmark_prints_one_object(with_baseline: bool, color_model: Path) -> None:
    options = ["--baseline", color_model] if with_baseline else []
    record = json_of("benchmark", color_model, "--queries", 16, "--seconds", 0, *options)
    assert set(record) == BENCHMARK
    assert set(record["stages"]) == STAGES
    assert all(set(stats) == STATISTICS for stats in record["stages"].values())
    assert (record["model"]["name"], record["model"]["threads"]) == ("colors", 1)
    assert (record["baseline"] is not None) == with_baseline
    assert record["size_ratio"] == (1.0 if with_baseline else None)


def test_inspect_prints_one_object(exported: dict[Precision, Path]) -> None:
    record = json_of("inspect", exported["int8"])
    assert set(record) == DESCRIPTION
    assert ModelCard.model_validate(record["card"]).precision == "int8"
    assert record["labels"] == [str(digit) for digit in range(10)]


def test_models_prints_one_line_per_backbone() -> None:
    lines = json_lines_of("models")
    assert all(set(line) == BACKBONE for line in lines)
    assert {"efficientnet_lite0", "mobilenet_v2"} <= {line["name"] for line in lines}


def test_train_qat_and_export_print_their_records(few_digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    record = RunRecord.model_validate(
        json_of("train", few_digits, "--out", run, "--height", 32, "--epochs", 1, "--augment", "crop=0.1")
    )
    assert record.settings.augment == AugmentSettings(crop=0.1)
    assert (record.name, record.labels, record.status) == ("run", ("0", "1", "2"), "complete")

    with_qat = RunRecord.model_validate(json_of("qat", run, "--epochs", 0, "--calibration-images", 4))
    assert with_qat.qat is not None and with_qat.qat.best_epoch == 0

    lines = json_lines_of("export", run, "--float32", "--float16")
    files = [RunFolder(run).model_file("run", precision) for precision in ("float32", "float16")]
    assert [line["path"] for line in lines] == [str(file) for file in files]
    assert [ModelCard.model_validate(line["card"]).precision for line in lines] == ["float32", "float16"]


def test_progress_is_never_on_stdout(color_model: Path, color_photos: Path) -> None:
    outcome = run_here("evaluate", color_model, color_photos)
    assert "reading photos: 180 done" in outcome.log
    assert "done" not in outcome.stdout
    assert outcome.stdout.splitlines()[0].strip() == "180 photos"
