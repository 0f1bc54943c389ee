"""A complete live run: it opens cameras, page and outputs, runs the loop, and closes everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgecnn.runtime.display import open_display
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.live.notices import Notices
from edgecnn.runtime.live.service import Service, open_service
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.outputs.opening import open_outputs
from edgecnn.runtime.outputs.options import OutputOptions
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.sinks import EventSink, Sink
from edgecnn.runtime.sources import FrameSource, SourceOptions, SurvivingSource, open_source, open_surviving

if TYPE_CHECKING:
    from edgecnn.runtime.web import LivePage


class TextSink(Sink, EventSink, Protocol):
    """A sink for the results and events that the caller prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """Options of a live run."""

    sources: tuple[str, ...]
    """Addresses for `open_source`."""
    camera: SourceOptions = field(default_factory=SourceOptions)
    retry: bool = True
    """Open a lost camera again."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    display: bool = False
    """Show results in a window."""
    serve: str | None = None
    """Address of the web page, see `open_page`; None for no page."""
    token: str | None = None
    """Token that the page requires from other machines; None to generate one."""


class LiveReport(NamedTuple):
    """Summary of a live run, by camera and by output."""

    cameras: tuple[RunSummary, ...]
    outputs: tuple[OutputStatus, ...]


def run_live(
    classifier: Classifier,
    options: LiveOptions,
    text: TextSink,
    *,
    log: Callable[[str], None],
    stop: threading.Event | None = None,
) -> LiveReport:
    """Open everything that the options name, run until the end, and close it again.

    Under systemd, the service is reported as ready after the first result, and the loop serves the watchdog.

    Args:
        classifier: Classifies the frames.
        options: Sources, outputs and loop settings.
        text: Sink for the caller's own output. The caller closes it.
        log: Receives notices: the address of the page, a camera that is lost or back, an output that fails or recovers.
        stop: The run ends when this event is set.

    Returns:
        Summaries of the cameras and states of the outputs.

    Raises:
        InputError: An option, source, output or frame cannot be used.
        WriteError: A result cannot be written.
        MissingDependency: An optional package is not installed.
    """
    with ExitStack() as owned:
        service = owned.enter_context(open_service())
        open_camera = open_surviving if options.retry else open_source
        cameras = [owned.enter_context(open_camera(source, options.camera)) for source in options.sources]
        outputs = owned.enter_context(open_outputs(options.outputs, cameras, classifier.labels, classifier.model.name))
        sinks: list[Sink] = [text, *outputs]
        event_sinks: list[EventSink] = [text, *outputs]
        if options.serve is not None:
            page = owned.enter_context(_open_page(options.serve, options, cameras, classifier, outputs))
            log(f"live at {page.url}")
            sinks.append(page)
            event_sinks.append(page)
        if options.display:
            sinks.append(owned.enter_context(open_display()))
        watchers = (Notices(cameras, outputs, log), _Heartbeat(service, cameras))
        summaries = run_loop(
            classifier,
            cameras,
            sinks,
            options.loop,
            event_sinks=event_sinks,
            watchers=watchers,
            on_result=service.report_ready,
            stop=stop,
        )
        service.report_stopping()
    return LiveReport(summaries, _statuses(outputs))


def _open_page(
    address: str,
    options: LiveOptions,
    cameras: Sequence[FrameSource],
    classifier: Classifier,
    outputs: Sequence[QueuedOutput],
) -> LivePage:
    # Imported here so that a run without a page starts faster.
    from edgecnn.runtime.web import QUIET_AFTER_S, open_page  # noqa: PLC0415

    return open_page(
        address,
        token=options.token,
        cameras=cameras,
        labels=classifier.labels,
        model=classifier.model.name,
        outputs=lambda: _statuses(outputs),
        quiet_after_s=QUIET_AFTER_S + options.loop.longest_pause_s,
    )


def _statuses(outputs: Sequence[QueuedOutput]) -> tuple[OutputStatus, ...]:
    return tuple(output.status for output in outputs)


class _Heartbeat:
    """A watcher that sends the service manager a heartbeat and the state of the cameras in every round of the loop."""

    def __init__(self, service: Service, cameras: Sequence[FrameSource]) -> None:
        self._service = service
        self._cameras = [camera for camera in cameras if isinstance(camera, SurvivingSource)]

    def __call__(self) -> None:
        self._service.send_heartbeat()
        lost = [camera.name for camera in self._cameras if camera.status.state == "reconnecting"]
        self._service.report_status(f"waiting for {', '.join(lost)}" if lost else "classifying")
