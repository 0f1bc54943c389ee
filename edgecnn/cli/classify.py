"""The `edgecnn classify` and `edgecnn inspect` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.console import print_fields, print_json, print_json_lines, say
from edgecnn.cli.options.shared import Json, Labels, Model, Preprocess, Threads, TopK
from edgecnn.core.errors import DataError
from edgecnn.core.settings.command_settings import THREADS, TOP_K

_LISTED_LABELS = 12
"""Maximum number of labels that `inspect` lists."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(classify)
    app.command()(inspect)


def classify(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files or folders of images.")],
    *,
    top_k: TopK = TOP_K,
    threads: Threads = THREADS,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Classify image files; with --json, print one line per image."""
    from edgecnn.runtime.inference.classifier import Classifier, load_model
    from edgecnn.runtime.live.image_files import classify_files, find_images
    from edgecnn.runtime.sinks import result_record

    paths = find_images(images)
    classifier = Classifier(load_model(model, labels=labels, preprocess=preprocess), threads=threads, top_k=top_k)
    failed = 0
    for path, result in classify_files(classifier, paths):
        if isinstance(result, DataError):
            failed += 1
            say(f"skipped: {result}")
        elif json:
            print_json_lines([result_record(result)])
        else:
            scores = ", ".join(f"{score.label} {score.score:.1%}" for score in result.prediction.top)
            print(f"{path}: {scores}")
    if failed:
        raise DataError(f"{failed} of {len(paths)} images could not be classified")


def inspect(
    model: Model,
    *,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Show the card, labels, preprocessing, tensors, quantization and size of a model file."""
    from edgecnn.runtime.inference.classifier import load_model
    from edgecnn.runtime.inference.inspect import describe_model

    description = describe_model(load_model(model, labels=labels, preprocess=preprocess))
    if json:
        print_json(description)
    else:
        print_fields(
            [
                ("file", f"{description['path']}, {description['size_bytes'] / 1e6:.2f} MB"),
                ("sha256", description["sha256"]),
                ("opens with", description["runtime"]),
                *_card_rows(description["card"]),
                *_network_rows(description),
            ]
        )


def _card_rows(card: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not card:
        return [("card", "none, not exported by edgecnn")]
    return [
        ("backbone", card["backbone"]),
        ("precision", f"{card['precision']}, quantization: {card['quantization']}"),
        ("created", card["created"]),
        ("metrics", _pairs(card["metrics"]) or "-"),
        ("threshold", _threshold(card["threshold"]) if card["threshold"] else "-"),
        ("trained on", _pairs(card["dataset"]["counts"]) if card["dataset"] else "ImageNet"),
        ("calibrated with", f"{card['calibration']['count']} images" if card["calibration"] else "-"),
        ("float parent", card["parent_sha256"] or "-"),
        ("made with", _pairs(card["versions"])),
    ]


def _network_rows(description: dict[str, Any]) -> list[tuple[str, str]]:
    names = description["labels"]
    more = ", ..." if names and len(names) > _LISTED_LABELS else ""
    listed = f"{len(names)}: {', '.join(names[:_LISTED_LABELS])}{more}" if names else ""
    return [
        *((f"input {tensor['name']}", _tensor(tensor)) for tensor in description["inputs"]),
        *((f"output {tensor['name']}", _tensor(tensor)) for tensor in description["outputs"]),
        ("tensors", _pairs(description["tensors"])),
        ("operators", _pairs(description["operators"] or {})),
        ("preprocessing", _pairs(description["preprocess"] or {}) or "unknown, set it with --preprocess"),
        ("labels", listed or "unknown, set them with --labels"),
    ]


def _threshold(threshold: dict[str, Any]) -> str:
    low, high = threshold["recall_ci95"]
    return (
        f"{threshold['label']} at a score of {threshold['threshold']:.4f} or more: recall {threshold['recall']:.4f} "
        f"on its {threshold['photos']} validation photos (on new ones {low:.4f} to {high:.4f} with 95 % confidence), "
        f"precision {threshold['precision']:.4f}; without the threshold, recall {threshold['recall_before']:.4f}, "
        f"precision {threshold['precision_before']:.4f}"
    )


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _tensor(tensor: dict[str, Any]) -> str:
    shape = "x".join(str(side) for side in tensor["shape"])
    quantization = tensor["quantization"]
    suffix = f", scale {quantization['scale']:g}, zero point {quantization['zero_point']}" if quantization else ""
    return f"{tensor['dtype']} {shape}{suffix}"
