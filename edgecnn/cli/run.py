"""`edgecnn run`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import say
from edgecnn.cli.environment_options import EnvironmentOptions, OptionsFrom
from edgecnn.cli.options import Json, Labels, Model, Preprocess, TopK
from edgecnn.core.errors import Interrupted, SourceLost
from edgecnn.core.settings.command_settings import LOG_KEEP, LOG_SIZE, STALL_TIMEOUT_S, UNCERTAIN, UNCERTAIN_SIZE

if TYPE_CHECKING:
    from edgecnn.cli.live_line import LiveLine
    from edgecnn.runtime.inference.classifier import Classifier
    from edgecnn.runtime.live.tally import RunSummary
    from edgecnn.runtime.outputs.output import OutputStatus

_CAMERA, _DECISION, _OUTPUT, _SPEED = "Camera", "What is classified and decided", "Outputs", "Speed"


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command(cls=EnvironmentOptions)(run)


def run(
    model: Model,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera number or /dev/videoN, csi, http(s):// or rtsp:// address, video, image, folder, FIFO, - for "
            "stdin, or pattern; give it again for a further camera. Camera 0 if not given.",
            rich_help_panel=_CAMERA,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Picture size to ask a camera for, such as 1280x720.", rich_help_panel=_CAMERA),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate to ask a camera for.", rich_help_panel=_CAMERA)] = None,
    stall_timeout: Annotated[
        float,
        typer.Option(help="Seconds without a frame after which a camera counts as lost.", rich_help_panel=_CAMERA),
    ] = STALL_TIMEOUT_S,
    retry: Annotated[
        bool, typer.Option(help="Open a lost camera again, for as long as it takes.", rich_help_panel=_CAMERA)
    ] = True,
    roi: Annotated[
        str | None,
        typer.Option(
            help="Classify this part alone: X,Y,W,H in pixels, or 25%,25%,50%,50%.", rich_help_panel=_DECISION
        ),
    ] = None,
    every: Annotated[
        float, typer.Option(help="At most one result of a camera in so many seconds.", rich_help_panel=_DECISION)
    ] = 0.0,
    motion: Annotated[
        float | None,
        typer.Option(
            help="Classify only pictures that differ by so many gray levels, such as 1.5.", rich_help_panel=_DECISION
        ),
    ] = None,
    smooth: Annotated[
        str | None,
        typer.Option(
            help="Decide over time: exponential[:HALF_LIFE_S], majority[:WINDOW_S] or none.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            help="What is no class: score=MIN, margin=MIN, entropy=MAX, with commas between.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(help="Stop after so many results.", min=1, rich_help_panel=_DECISION)
    ] = None,
    display: Annotated[
        bool, typer.Option("--display", help="Show the picture in a window.", rich_help_panel=_OUTPUT)
    ] = False,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT",
            help="A web page with picture, label and figures; 8080 for this machine alone, :8080 for the network.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="EDGECNN_TOKEN",
            show_envvar=True,
            help="What a browser on another machine must know; made up if not given.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="mqtt[s]://[USER@]HOST[:PORT][/PREFIX]",
            help="Publish to this broker; its password is better told in EDGECNN_MQTT_PASSWORD.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    home_assistant: Annotated[
        bool,
        typer.Option("--home-assistant", help="Announce the cameras to Home Assistant.", rich_help_panel=_OUTPUT),
    ] = False,
    log: Annotated[
        Path | None, typer.Option(help="Log to this .csv or .db (SQLite) file.", rich_help_panel=_OUTPUT)
    ] = None,
    log_size: Annotated[
        str, typer.Option(help="Size at which a log makes way for a new one.", rich_help_panel=_OUTPUT)
    ] = LOG_SIZE,
    log_keep: Annotated[
        int, typer.Option(help="How many of the older logs stay.", min=1, rich_help_panel=_OUTPUT)
    ] = LOG_KEEP,
    record: Annotated[
        Path | None,
        typer.Option(help="Record what was seen, with its label, to this .avi, .mp4 or .mkv.", rich_help_panel=_OUTPUT),
    ] = None,
    save_uncertain: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep frames that the model was unsure of, for relabelling.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    uncertain: Annotated[
        str, typer.Option(help="When it is unsure: below score=, or below margin=.", rich_help_panel=_OUTPUT)
    ] = UNCERTAIN,
    uncertain_size: Annotated[
        str, typer.Option(help="Size of DIR at which the oldest frames make way.", rich_help_panel=_OUTPUT)
    ] = UNCERTAIN_SIZE,
    threads: Annotated[
        str,
        typer.Option(help="Threads of the interpreter; auto measures and picks.", rich_help_panel=_SPEED),
    ] = "1",
    delegate: Annotated[
        str | None,
        typer.Option(
            metavar="LIBRARY[:KEY=VALUE,...]",
            help="Run the model with this TFLite delegate, such as libedgetpu.so.1; auto tries those it knows.",
            rich_help_panel=_SPEED,
        ),
    ] = None,
    top_k: TopK = 3,
    labels: Labels = None,
    preprocess: Preprocess = None,
    _options_from: OptionsFrom = None,
    json: Json = False,
) -> None:
    """Classify frames live: the newest of every camera, each one of a file or folder."""
    from edgecnn.cli.live_line import LiveLine
    from edgecnn.runtime.decision import rule_from_options
    from edgecnn.runtime.live.loop import LoopSettings
    from edgecnn.runtime.live.run import LiveOptions, run_live
    from edgecnn.runtime.outputs.options import OutputOptions
    from edgecnn.runtime.region import parse_region
    from edgecnn.runtime.sinks import JsonLines
    from edgecnn.runtime.sources import source_options

    region = parse_region(roi) if roi else None
    classifier = _open_classifier(model, labels, preprocess, threads, delegate, top_k)
    options = LiveOptions(
        sources=tuple(source or ["0"]),
        camera=source_options(size=size, fps=fps, stall_timeout_s=stall_timeout),
        retry=retry,
        loop=LoopSettings(
            max_frames=max_frames,
            every_s=every,
            region=region,
            motion_threshold=motion,
            rule=rule_from_options(classifier.model.card, classifier.labels, smooth, unknown),
            stall_timeout_s=stall_timeout,
        ),
        outputs=OutputOptions(
            mqtt=mqtt,
            mqtt_password=os.environ.get("EDGECNN_MQTT_PASSWORD"),
            home_assistant=home_assistant,
            log=log,
            log_size=log_size,
            log_keep=log_keep,
            record=record,
            save_uncertain=save_uncertain,
            uncertain=uncertain,
            uncertain_size=uncertain_size,
            region=region,
        ),
        display=display,
        serve=serve,
        token=token,
    )
    with ExitStack() as owned:
        stop = owned.enter_context(stopped_by_sigterm())
        if json:
            report = run_live(classifier, options, JsonLines(sys.stdout), log=say, stop=stop)
        else:
            line = owned.enter_context(LiveLine(sys.stdout))
            report = run_live(classifier, options, line, log=lambda text: _say_below(line, text), stop=stop)
    for summary in report.cameras:
        _print_camera(summary)
    for output in report.outputs:
        _print_output(output)
    _leave_by(report.cameras)


def _open_classifier(
    model: Path, labels: Path | None, preprocess: str | None, threads: str, delegate: str | None, top_k: int
) -> Classifier:
    from edgecnn.runtime.inference.classifier import Classifier, load_model
    from edgecnn.runtime.inference.delegate import parse_delegate
    from edgecnn.runtime.inference.threads import parse_threads, pick_threads

    loaded = load_model(model, labels=labels, preprocess=preprocess)
    request = parse_delegate(delegate) if delegate is not None else None
    count = parse_threads(threads)
    if count is None:
        choice = pick_threads(loaded, delegate=request)
        count = choice.threads
        measured = ", ".join(f"{number}: {spent_ms:.2f} ms" for number, spent_ms in choice.invoke_ms.items())
        say(f"threads: {count} ({measured or 'there is one processor'})")
    classifier = Classifier(loaded, threads=count, top_k=top_k, delegate=request)
    if request is not None:
        say(f"delegate: {classifier.delegate or 'none found, the processor runs the model'}")
    return classifier


@contextmanager
def stopped_by_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, as a service manager sends it: the run then ends like a file does."""
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_below(line: LiveLine, text: str) -> None:
    """Talk while a line is being rewritten."""
    line.close()
    say(text)


def _leave_by(summaries: Sequence[RunSummary]) -> None:
    """A run that lost all its cameras has failed."""
    if all(summary.ended == "camera lost" for summary in summaries):
        raise SourceLost("; ".join(summary.reason for summary in summaries))
    if any(summary.ended == "interrupted" for summary in summaries):
        raise typer.Exit(Interrupted.exit_status)


def _print_camera(summary: RunSummary) -> None:
    """On stderr: stdout belongs to the results."""
    rate = f"{summary.frames} frames in {summary.seconds:.1f} s ({summary.fps:.1f} a second)"
    say(f"{summary.ended}: {rate}, {summary.source}")
    say(f"dropped {summary.dropped}, unreadable {len(summary.unreadable) + summary.bad_pictures}")
    if summary.skipped:
        say(f"skipped {summary.skipped} that came too soon, showed no motion or were too small for the region")
    if summary.reconnects:
        say(f"came back {summary.reconnects} times")
    for path in summary.unreadable[:5]:
        say(f"  cannot be decoded: {path}")
    for stage, stats in summary.stages.items():
        say(f"  {stage:<11} p50 {stats.p50_ms:8.2f} ms  p90 {stats.p90_ms:8.2f} ms")
    if summary.age:
        say(f"  {'age':<11} p50 {summary.age.p50_ms:8.2f} ms  p90 {summary.age.p90_ms:8.2f} ms")


def _print_output(status: OutputStatus) -> None:
    lost = f", {status.dropped + status.failed} lost" if status.dropped + status.failed else ""
    reason = f": {status.last_error}" if status.last_error else ""
    say(f"{status.name}: {status.delivered} delivered{lost}{reason}")
