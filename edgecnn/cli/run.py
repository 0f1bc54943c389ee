"""The `edgecnn run` command."""

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
from edgecnn.cli.options.environment import EnvironmentOptions, OptionsFrom
from edgecnn.cli.options.shared import Json, Labels, Model, Preprocess, TopK, delegate_option
from edgecnn.core.errors import Interrupted, SourceLost
from edgecnn.core.settings.command_settings import (
    LOG_KEEP,
    LOG_SIZE,
    STALL_TIMEOUT_S,
    THREADS,
    TOP_K,
    UNCERTAIN,
    UNCERTAIN_SIZE,
)

if TYPE_CHECKING:
    from edgecnn.cli.live_line import LiveLine
    from edgecnn.runtime.inference.classifier import Classifier
    from edgecnn.runtime.live.run import LiveOptions, LiveReport
    from edgecnn.runtime.live.tally import RunSummary
    from edgecnn.runtime.outputs.output import OutputStatus

_CAMERA, _DECISION, _OUTPUT, _SPEED = "Camera", "Classification and decisions", "Outputs", "Speed"
_LISTED_UNREADABLE = 5
"""Maximum number of unreadable images that are named."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=EnvironmentOptions)(run)


def run(
    model: Model,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera number or /dev/videoN, csi, http(s):// or rtsp:// address, video, image, folder, FIFO, - for "
            "stdin, or pattern; repeat the option for several cameras. Camera 0 if not given.",
            rich_help_panel=_CAMERA,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Picture size to request from a camera, such as 1280x720.", rich_help_panel=_CAMERA),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frame rate to request from a camera.", rich_help_panel=_CAMERA)
    ] = None,
    stall_timeout: Annotated[
        float,
        typer.Option(help="Seconds without a frame after which a camera counts as lost.", rich_help_panel=_CAMERA),
    ] = STALL_TIMEOUT_S,
    retry: Annotated[
        bool, typer.Option(help="Reopen a lost camera, however long it takes.", rich_help_panel=_CAMERA)
    ] = True,
    roi: Annotated[
        str | None,
        typer.Option(
            help="Region to classify: X,Y,W,H in pixels, or 25%,25%,50%,50%; everything outside is ignored.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    every: Annotated[
        float,
        typer.Option(help="Minimum number of seconds between two results of a camera.", rich_help_panel=_DECISION),
    ] = 0.0,
    motion: Annotated[
        float | None,
        typer.Option(
            help="Skip pictures that differ from the last classified one by fewer gray levels than this, such as 1.5.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    smooth: Annotated[
        str | None,
        typer.Option(
            help="Method that decides over time: exponential[:HALF_LIFE_S], majority[:WINDOW_S] or none.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            help="Limits beyond which the decision is unknown: score=MIN, margin=MIN, entropy=MAX, comma-separated.",
            rich_help_panel=_DECISION,
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(help="Number of results after which the run stops.", min=1, rich_help_panel=_DECISION)
    ] = None,
    display: Annotated[
        bool, typer.Option("--display", help="Show the picture in a window.", rich_help_panel=_OUTPUT)
    ] = False,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT",
            help="Serve a web page with picture, label and statistics; 8080 for this machine only, :8080 for the "
            "network.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="EDGECNN_TOKEN",
            show_envvar=True,
            help="Token that browsers on other machines need; generated if not given.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="mqtt[s]://[USER@]HOST[:PORT][/PREFIX]",
            help="Publish to this broker. Set its password in EDGECNN_MQTT_PASSWORD rather than here.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    home_assistant: Annotated[
        bool,
        typer.Option("--home-assistant", help="Announce the cameras to Home Assistant.", rich_help_panel=_OUTPUT),
    ] = False,
    log: Annotated[
        Path | None, typer.Option(help="Log results to this .csv or .db (SQLite) file.", rich_help_panel=_OUTPUT)
    ] = None,
    log_size: Annotated[str, typer.Option(help="Size at which a log is rotated.", rich_help_panel=_OUTPUT)] = LOG_SIZE,
    log_keep: Annotated[
        int, typer.Option(help="Number of rotated logs to retain.", min=1, rich_help_panel=_OUTPUT)
    ] = LOG_KEEP,
    record: Annotated[
        Path | None,
        typer.Option(help="Record the frames with their labels to this .avi, .mp4 or .mkv.", rich_help_panel=_OUTPUT),
    ] = None,
    save_uncertain: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Save frames about which the model is unsure to this folder, for relabeling.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    uncertain: Annotated[
        str,
        typer.Option(
            help="Limit below which the model is unsure, as score=MIN or margin=MIN.", rich_help_panel=_OUTPUT
        ),
    ] = UNCERTAIN,
    uncertain_size: Annotated[
        str, typer.Option(help="Size of DIR above which its oldest frames are deleted.", rich_help_panel=_OUTPUT)
    ] = UNCERTAIN_SIZE,
    threads: Annotated[
        str,
        typer.Option(
            help="Number of interpreter threads; auto measures several and picks the fastest.", rich_help_panel=_SPEED
        ),
    ] = str(THREADS),
    delegate: Annotated[str | None, delegate_option(_SPEED)] = None,
    top_k: TopK = TOP_K,
    labels: Labels = None,
    preprocess: Preprocess = None,
    _options_from: OptionsFrom = None,
    json: Json = False,
) -> None:
    """Classify frames live: the newest frame of each camera, and every frame of a file or folder."""
    from edgecnn.runtime.decision import rule_from_options
    from edgecnn.runtime.live.loop import LoopSettings
    from edgecnn.runtime.live.run import LiveOptions
    from edgecnn.runtime.outputs.options import OutputOptions
    from edgecnn.runtime.region import parse_region
    from edgecnn.runtime.sources import source_options

    region = parse_region(roi) if roi else None
    classifier = _open_classifier(
        model, labels=labels, preprocess=preprocess, threads=threads, delegate=delegate, top_k=top_k
    )
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
    report = _run_live(classifier, options, json=json)
    for summary in report.cameras:
        _print_camera(summary)
    for output in report.outputs:
        _print_output(output)
    _exit_unless_complete(report.cameras)


def _open_classifier(
    model: Path, *, labels: Path | None, preprocess: str | None, threads: str, delegate: str | None, top_k: int
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
        say(f"threads: {count} ({measured or 'there is only one processor'})")
    classifier = Classifier(loaded, threads=count, top_k=top_k, delegate=request)
    if request is not None:
        say(f"delegate: {classifier.delegate or 'none found, the processor runs the model'}")
    return classifier


def _run_live(classifier: Classifier, options: LiveOptions, *, json: bool) -> LiveReport:
    from edgecnn.cli.live_line import LiveLine
    from edgecnn.runtime.live.run import run_live
    from edgecnn.runtime.sinks import JsonLines

    with ExitStack() as owned:
        stop = owned.enter_context(stop_on_sigterm())
        if json:
            return run_live(classifier, options, JsonLines(sys.stdout), log=say, stop=stop)
        line = owned.enter_context(LiveLine(sys.stdout))
        return run_live(classifier, options, line, log=lambda text: _say_below(line, text), stop=stop)


@contextmanager
def stop_on_sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, so that a service manager ends a run like the end of a file does."""
    stop = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


def _say_below(line: LiveLine, text: str) -> None:
    """Print a message below the line that is being rewritten."""
    line.close()
    say(text)


def _exit_unless_complete(summaries: Sequence[RunSummary]) -> None:
    """Fail if the run lost all of its cameras, and exit with the status of an interrupted run after Ctrl-C."""
    if all(summary.ended == "camera lost" for summary in summaries):
        raise SourceLost("; ".join(summary.reason for summary in summaries))
    if any(summary.ended == "interrupted" for summary in summaries):
        raise typer.Exit(Interrupted.exit_status)


def _print_camera(summary: RunSummary) -> None:
    """Print the summary of a camera on stderr, because stdout contains the results."""
    rate = f"{summary.frames} frames in {summary.seconds:.1f} s ({summary.fps:.1f} per second)"
    say(f"{summary.ended}: {rate}, {summary.source}")
    say(f"dropped {summary.dropped}, unreadable {len(summary.unreadable) + summary.bad_pictures}")
    if summary.skipped:
        say(f"skipped {summary.skipped} that came too soon, showed no motion or were too small for the region")
    if summary.reconnects:
        say(f"reconnected {summary.reconnects} time{'s' if summary.reconnects > 1 else ''}")
    for path in summary.unreadable[:_LISTED_UNREADABLE]:
        say(f"  cannot be decoded: {path}")
    for stage, stats in summary.stages.items():
        say(f"  {stage:<11} p50 {stats.p50_ms:8.2f} ms  p90 {stats.p90_ms:8.2f} ms")
    if summary.age:
        say(f"  {'age':<11} p50 {summary.age.p50_ms:8.2f} ms  p90 {summary.age.p90_ms:8.2f} ms")


def _print_output(status: OutputStatus) -> None:
    lost = f", {status.dropped + status.failed} lost" if status.dropped + status.failed else ""
    reason = f": {status.last_error}" if status.last_error else ""
    say(f"{status.name}: {status.delivered} delivered{lost}{reason}")
