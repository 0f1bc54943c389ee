"""Creation of all requested outputs, each behind its queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgecnn.core.labels import LabelMap
from edgecnn.runtime.outputs.options import OutputOptions, parse_size
from edgecnn.runtime.outputs.output import Output
from edgecnn.runtime.outputs.queued import QueuedOutput, close_outputs
from edgecnn.runtime.sources import FrameSource

_FIGURES_QUEUED = 1000
"""Queue capacity for results without pixels: half a minute at 30 results per second."""
_PICTURES_QUEUED = 8
"""Queue capacity for results with pixels: 7 MB at 640x480 pixels."""


@contextmanager
def open_outputs(
    options: OutputOptions, cameras: Sequence[FrameSource], labels: LabelMap, model: str
) -> Iterator[tuple[QueuedOutput, ...]]:
    """Open every requested output; all are closed at the end of the block.

    Args:
        options: Outputs to open.
        cameras: Sources of the results.
        labels: Labels of the model.
        model: Name of the model.

    Yields:
        The outputs.

    Raises:
        InputError: If an output cannot be opened; those opened before it are closed again.
    """
    opened: list[QueuedOutput] = []
    files = {number for number, camera in enumerate(cameras) if not camera.live}
    try:
        for output, capacity in _opened(options, cameras, labels, model):
            opened.append(QueuedOutput(output, capacity=capacity, files=files))
        yield tuple(opened)
    finally:
        close_outputs(opened)


def _opened(
    options: OutputOptions, cameras: Sequence[FrameSource], labels: LabelMap, model: str
) -> Iterator[tuple[Output, int]]:
    # Each module is imported on demand, so that a run without outputs starts faster.
    if options.log is not None:
        from edgecnn.runtime.outputs.log import open_log  # noqa: PLC0415

        max_bytes = parse_size(options.log_size)
        yield open_log(options.log, max_bytes=max_bytes, keep=options.log_keep), _FIGURES_QUEUED
    if options.record is not None:
        from edgecnn.runtime.outputs.recording import open_recording  # noqa: PLC0415

        yield open_recording(options.record, cameras=cameras), _PICTURES_QUEUED
    if options.save_uncertain is not None:
        from edgecnn.runtime.outputs.uncertain import open_uncertain  # noqa: PLC0415

        max_bytes = parse_size(options.uncertain_size)
        folder = open_uncertain(
            options.save_uncertain,
            cameras=cameras,
            unsure=options.uncertain,
            max_bytes=max_bytes,
            region=options.region,
        )
        yield folder, _PICTURES_QUEUED
    if options.mqtt is not None:
        from edgecnn.runtime.outputs.mqtt import open_mqtt  # noqa: PLC0415

        broker = open_mqtt(
            options.mqtt,
            cameras=[camera.name for camera in cameras],
            labels=labels,
            model=model,
            home_assistant=options.home_assistant,
            password=options.mqtt_password,
        )
        yield broker, _FIGURES_QUEUED
