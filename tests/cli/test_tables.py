from __future__ import annotations

from pathlib import Path

from edgecnn.core.precision import Precision
from tests.cli.commands import run_apart, run_here
from tests.colors import COLORS, write_color, write_color_model


def test_models_lists_every_backbone_with_its_width() -> None:
    table = run_here("models").stdout
    assert all(name in table for name in ("efficientnet_lite0", "efficientnet_lite4", "mobilenet_v2", "0.35"))
    assert "4.65 M" in table and "224x224" in table


def test_evaluate_shows_both_models_and_their_difference(color_model: Path, color_photos: Path) -> None:
    shown = run_here("evaluate", color_model, color_photos, "--baseline", color_model).stdout
    assert all(word in shown for word in ("top1", "macro_f1", *COLORS, "colors.tflite", "60"))
    assert "difference in top-1: +0.00 points, 95 % between" in shown


def test_benchmark_shows_every_stage_of_both_models(color_model: Path) -> None:
    shown = run_here("benchmark", color_model, "--queries", 16, "--seconds", 0, "--baseline", color_model).stdout
    assert all(f"colors: {stage}" in shown for stage in ("preprocess", "invoke", "postprocess", "total"))
    assert "cold start" in shown and "times as fast as colors" in shown


def test_inspect_shows_the_card_and_the_tensors(exported: dict[Precision, Path]) -> None:
    shown = run_here("inspect", exported["int8"]).stdout
    assert "int8, quantization: ptq" in shown
    assert "uint8 1x64x64x3, scale 0.0078125, zero point 127" in shown
    assert "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in shown
    assert "100 images" in shown


def test_classify_shows_the_best_classes_of_an_image(color_model: Path, tmp_path: Path) -> None:
    path = write_color(tmp_path / "sea.png", 2)
    shown = run_here("classify", color_model, path, "--top-k", 1).stdout
    assert shown.startswith(f"{path}: blue ")


def test_run_shows_one_line_per_frame_without_a_terminal(color_model: Path, tmp_path: Path) -> None:
    path = write_color(tmp_path / "sea.png", 2)
    shown = run_here("run", color_model, "--source", path).stdout.splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("blue ") and shown[0].endswith(f"{path} #0")


def test_names_that_look_like_markup_are_shown_unchanged(tmp_path: Path) -> None:
    labels = ("[red]", ":cat:", "[/b]")
    model = write_color_model(tmp_path / "[bold]x.tflite", labels)
    for channel, label in enumerate(("[red]", ":cat:")):
        (tmp_path / "photos" / label).mkdir(parents=True)
        write_color(tmp_path / "photos" / label / "a.png", channel)
    shown = run_here("evaluate", model, tmp_path / "photos").stdout
    assert all(name in shown for name in ("[red]", ":cat:", "[bold]x.tflite"))
    assert ", ".join(labels) in run_here("inspect", model).stdout
    missing = run_here("inspect", tmp_path / "[bold]:cat:.tflite")
    assert missing.stderr == f"error: no such model file: {tmp_path}/[bold]:cat:.tflite\n"


def test_a_label_that_the_terminal_cannot_encode_is_escaped(tmp_path: Path) -> None:
    model = write_color_model(tmp_path / "m.tflite", ("žluť", "green", "blue"))
    path = write_color(tmp_path / "a.png", 0)
    outcome = run_apart("classify", model, path, "--top-k", 1, PYTHONIOENCODING="ascii")
    assert (outcome.status, outcome.errors) == (0, [])
    assert r"\u017elu\u0165" in outcome.stdout
