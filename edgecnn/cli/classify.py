"""`edgecnn classify` and `edgecnn inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.console import print_fields, print_json, print_json_lines, say
from edgecnn.cli.options import Json, Labels, Model, Preprocess, Threads, TopK
from edgecnn.core.errors import DataError, InputError


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command()(classify)
    app.command()(inspect)


def classify(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    top_k: TopK = 3,
    threads: Threads = 1,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Classify image files; with --json a line each."""
    from edgecnn.runtime.inference.classifier import Classifier, load_model
    from edgecnn.runtime.live.loop import classify_frame
    from edgecnn.runtime.sinks import result_record
    from edgecnn.runtime.sources import ImageSource, images_in

    paths = [path for given in images for path in (images_in(given) if given.is_dir() else [given])]
    if not paths:
        raise InputError(f"no images in {images[0]}; expected files such as {images[0] / 'photo.jpg'}")
    classifier = Classifier(load_model(model, labels=labels, preprocess=preprocess), threads=threads, top_k=top_k)
    failed = 0
    for path in paths:
        try:
            with ImageSource([path], name=str(path)) as source:
                frame = source.read()
        except DataError as error:
            failed += 1
            say(f"skipped: {error}")
            continue
        assert frame is not None
        result = classify_frame(classifier, frame)
        if json:
            print_json_lines([result_record(result)])
        else:
            best = ", ".join(f"{score.label} {score.score:.1%}" for score in result.prediction.top)
            print(f"{path}: {best}")
    if failed:
        raise DataError(f"{failed} of {len(paths)} images could not be classified")


def inspect(
    model: Model,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Show a model file's card, labels, preprocessing, tensors, quantization and size."""
    from edgecnn.runtime.inference.classifier import load_model
    from edgecnn.runtime.inference.inspect import describe_model

    description = describe_model(load_model(model, labels=labels, preprocess=preprocess))
    if json:
        print_json(description)
    else:
        _print_description(description)


def _print_description(description: dict[str, Any]) -> None:
    card = description["card"] or {}
    rows = [
        ("file", f"{description['path']}, {description['size_bytes'] / 1e6:.2f} MB"),
        ("sha256", description["sha256"]),
        ("opens with", description["runtime"]),
    ]
    if card:
        rows += [
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
    else:
        rows.append(("card", "none: a model file by others"))
    rows += [(f"input {each['name']}", _tensor(each)) for each in description["inputs"]]
    rows += [(f"output {each['name']}", _tensor(each)) for each in description["outputs"]]
    rows += [("tensors", _pairs(description["tensors"])), ("operators", _pairs(description["operators"] or {}))]
    rows.append(("preprocessing", _pairs(description["preprocess"] or {}) or "unknown: give --preprocess"))
    names = description["labels"]
    shown = f"{len(names)}: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else ""
    rows.append(("labels", shown or "unknown: give --labels"))
    print_fields(rows)


def _threshold(threshold: dict[str, Any]) -> str:
    low, high = threshold["recall_ci95"]
    return (
        f"{threshold['label']} from a score of {threshold['threshold']:.4f} on: recall {threshold['recall']:.4f} on "
        f"{threshold['photos']} validation photos of it (on new ones {low:.4f} to {high:.4f} with 95 % confidence), "
        f"precision {threshold['precision']:.4f}; before, recall {threshold['recall_before']:.4f}, precision "
        f"{threshold['precision_before']:.4f}"
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
