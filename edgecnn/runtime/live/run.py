"""A whole live run: cameras, classifier, page and outputs, from opening to closing."""

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
    """Writes results and events where the caller wants them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """What a live run is told."""

    sources: tuple[str, ...]
    """What `open_source` takes."""
    camera: SourceOptions = field(default_factory=SourceOptions)
    retry: bool = True
    """Whether a lost camera is opened again."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    display: bool = False
    serve: str | None = None
    """Where the web page is to be, see `open_page`."""
    token: str | None = None
    """What the page asks of other machines; made up where None is given."""


class LiveReport(NamedTuple):
    """What a live run was like."""

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
    """Opens what `options` name, runs until the end, and closes it again.

    `tell` hears of what changes meanwhile: where the page is, a camera that is lost or back, an output that fails.
    Under systemd the service is ready with the first result, and the loop serves the watchdog. Raises what
    `open_source`, `open_outputs`, `open_page`, `open_display` and `run_loop` do.
    """
    with ExitStack() as owned:
        service = owned.enter_context(open_service())
        opened = open_surviving if options.retry else open_source
        cameras = [owned.enter_context(opened(source, options.camera)) for source in options.sources]
        outputs = owned.enter_context(open_outputs(options.outputs, cameras, classifier.labels, classifier.model.name))
        sinks: list[Sink] = [text, *outputs]
        event_sinks: list[EventSink] = [text, *outputs]
        if options.serve is not None:
            page = owned.enter_context(_opened_page(options.serve, options, cameras, classifier, outputs))
            log(f"live at {page.url}")
            sinks.append(page)
            event_sinks.append(page)
        if options.display:
            sinks.append(owned.enter_context(open_display()))
        watchers = (Notices(cameras, outputs, log), _Heartbeat(service, cameras))
        summaries = run_loop(
            classifier,
            cameras,
            [*sinks, lambda _: service.ready()],
            options.loop,
            event_sinks=event_sinks,
            watchers=watchers,
            stop=stop,
        )
        service.stopping()
    return LiveReport(summaries, _statuses(outputs))


def _opened_page(
    address: str,
    options: LiveOptions,
    cameras: Sequence[FrameSource],
    classifier: Classifier,
    outputs: Sequence[QueuedOutput],
) -> LivePage:
    # Imported when it is wanted: a run without a page starts sooner.
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
    """Tells the service manager at every turn of the loop that it turns, and how the cameras are."""

    def __init__(self, service: Service, cameras: Sequence[FrameSource]) -> None:
        self._service = service
        self._cameras = [camera for camera in cameras if isinstance(camera, SurvivingSource)]

    def __call__(self) -> None:
        self._service.beat()
        away = [camera.name for camera in self._cameras if camera.status.state == "reconnecting"]
        self._service.status(f"waiting for {', '.join(away)}" if away else "classifying")
