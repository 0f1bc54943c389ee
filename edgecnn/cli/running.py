"""`edgecnn classify`, `edgecnn run` and `edgecnn inspect`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.console import print_fields, print_json, print_json_lines, say
from edgecnn.cli.options import Json, Labels, Preprocess, Threads
from edgecnn.core.errors import DataError, InputError, Interrupted, SourceLost
from edgecnn.core.settings import STALL_TIMEOUT_S

if TYPE_CHECKING:
    from edgecnn.runtime.tally import RunSummary

Model = Annotated[Path, typer.Argument(help="A .tflite file.")]
TopK = Annotated[int, typer.Option(help="How many classes to tell.", min=1)]


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command()(classify)
    app.command()(run)
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
    from edgecnn.runtime.classifier import Classifier, load_model
    from edgecnn.runtime.loop import classify_frame
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


def run(
    model: Model,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera number or /dev/videoN, csi, http(s):// or rtsp:// address, video, image, folder, FIFO, - for "
            "stdin, or pattern; give it again for a further camera. Camera 0 if not given."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Picture size to ask a camera for, such as 1280x720.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate to ask a camera for.")] = None,
    stall_timeout: Annotated[
        float, typer.Option(help="Seconds without a frame after which a camera counts as lost.")
    ] = STALL_TIMEOUT_S,
    retry: Annotated[bool, typer.Option(help="Open a lost camera again, for as long as it takes.")] = True,
    roi: Annotated[
        str | None, typer.Option(help="Classify this part alone: X,Y,W,H in pixels, or 25%,25%,50%,50%.")
    ] = None,
    every: Annotated[float, typer.Option(help="At most one result of a camera in so many seconds.")] = 0.0,
    motion: Annotated[
        float | None, typer.Option(help="Classify only pictures that differ by so many gray levels, such as 1.5.")
    ] = None,
    smooth: Annotated[
        str | None, typer.Option(help="Decide over time: exponential[:HALF_LIFE_S], majority[:WINDOW_S] or none.")
    ] = None,
    unknown: Annotated[
        str | None, typer.Option(help="What is no class: score=MIN, margin=MIN, entropy=MAX, with commas between.")
    ] = None,
    display: Annotated[bool, typer.Option("--display", help="Show the picture in a window.")] = False,
    max_frames: Annotated[int | None, typer.Option(help="Stop after so many results.", min=1)] = None,
    top_k: TopK = 3,
    threads: Threads = 1,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Classify frames live: the newest of every camera, each one of a file or folder."""
    from edgecnn.runtime.classifier import Classifier, load_model
    from edgecnn.runtime.decision import rule_from_options
    from edgecnn.runtime.display import open_display
    from edgecnn.runtime.loop import LoopSettings, run_loop
    from edgecnn.runtime.region import parse_region
    from edgecnn.runtime.sinks import JsonLines, LiveLine, Sink
    from edgecnn.runtime.sources import open_source, open_surviving, source_options

    classifier = Classifier(load_model(model, labels=labels, preprocess=preprocess), threads=threads, top_k=top_k)
    settings = LoopSettings(
        max_frames=max_frames,
        every_s=every,
        region=parse_region(roi) if roi else None,
        motion_threshold=motion,
        rule=rule_from_options(classifier.model.card, classifier.labels, smooth, unknown),
        stall_timeout_s=stall_timeout,
    )
    options = source_options(size=size, fps=fps, stall_timeout_s=stall_timeout)
    opened = open_surviving if retry else open_source
    with ExitStack() as owned:
        frames = [owned.enter_context(opened(text, options)) for text in source or ["0"]]
        text_sink = JsonLines(sys.stdout) if json else owned.enter_context(LiveLine(sys.stdout))
        sinks: list[Sink] = [text_sink]
        if display:
            sinks.append(owned.enter_context(open_display()))
        stop = owned.enter_context(stopped_by_sigterm())
        summaries = run_loop(classifier, frames, sinks, settings, event_sinks=[text_sink], stop=stop)
    for summary in summaries:
        _tell_summary(summary)
    _leave_by(summaries)


def _leave_by(summaries: Sequence[RunSummary]) -> None:
    """A run that lost all its cameras has failed."""
    if all(summary.ended == "camera lost" for summary in summaries):
        raise SourceLost("; ".join(summary.reason for summary in summaries))
    if any(summary.ended == "interrupted" for summary in summaries):
        raise typer.Exit(Interrupted.exit_status)


@contextmanager
def stopped_by_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, as a service manager sends it: the run then ends like a file does."""
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def inspect(
    model: Model,
    labels: Labels = None,
    preprocess: Preprocess = None,
    json: Json = False,
) -> None:
    """Show a model file's card, labels, preprocessing, tensors, quantisation and size."""
    from edgecnn.runtime.classifier import load_model
    from edgecnn.runtime.inspect import describe_model

    description = describe_model(load_model(model, labels=labels, preprocess=preprocess))
    if json:
        print_json(description)
    else:
        _print_description(description)


def _tell_summary(summary: RunSummary) -> None:
    """On stderr: stdout belongs to the results."""
    rate = f"{summary.frames} frames in {summary.seconds:.1f} s ({summary.fps:.1f} a second)"
    say(f"{summary.ended}: {rate}, {summary.source}")
    say(f"dropped {summary.dropped}, unreadable {len(summary.unreadable) + summary.bad_pictures}")
    if summary.skipped:
        say(f"skipped {summary.skipped} that were too soon or showed no motion")
    if summary.reconnects:
        say(f"came back {summary.reconnects} times")
    for path in summary.unreadable[:5]:
        say(f"  cannot be decoded: {path}")
    for stage, stats in summary.stages.items():
        say(f"  {stage:<11} p50 {stats.p50_ms:8.2f} ms  p90 {stats.p90_ms:8.2f} ms")
    if summary.age:
        say(f"  {'age':<11} p50 {summary.age.p50_ms:8.2f} ms  p90 {summary.age.p90_ms:8.2f} ms")


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
            ("precision", f"{card['precision']}, quantisation: {card['quantization']}"),
            ("created", card["created"]),
            ("metrics", _pairs(card["metrics"]) or "-"),
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


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _tensor(tensor: dict[str, Any]) -> str:
    shape = "x".join(str(side) for side in tensor["shape"])
    quantization = tensor["quantization"]
    suffix = f", scale {quantization['scale']:g}, zero point {quantization['zero_point']}" if quantization else ""
    return f"{tensor['dtype']} {shape}{suffix}"
