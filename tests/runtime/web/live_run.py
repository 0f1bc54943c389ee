"""A real run with a live page: a tiny model that classifies colors, a camera with a variable color, an HTTP client."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from edgecnn.core.model_file.model_file import append_associated_files
from edgecnn.core.model_file.tflite_metadata import build_metadata
from edgecnn.core.preprocess import Image
from edgecnn.core.settings.decision import DecisionSettings
from edgecnn.runtime.decision import decision_rule
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.sources import FrameSource
from edgecnn.runtime.web import LivePage
from tests.pixel_model import pixel_card, pixel_model
from tests.runtime.sources.loopback_camera import LoopbackCamera

DEADLINE_S = 60.0
COLORS = ("red", "green", "blue")

INSTANT = DecisionSettings(smoothing="none", enter_score=0.6, enter_after_s=0, leave_after_s=0)


def color_classifier(folder: Path, labels: tuple[str, ...] = COLORS) -> Classifier:
    """Create a classifier whose scores are the channels of the mean color, from 0 to 1."""
    card = pixel_card(1, 1, labels)
    spec = card.preprocess.model_copy(update={"mean": (0.0,) * 3, "std": (255.0,) * 3})
    card = card.model_copy(update={"preprocess": spec, "precision": "float32"})
    metadata = build_metadata(card.name, spec, len(labels), "Apache-2.0")
    path = folder / "colors.tflite"
    path.write_bytes(append_associated_files(pixel_model(1, 1, "float32", metadata=metadata), card))
    return Classifier(load_model(path), top_k=3)


def plain_picture(rgb: tuple[int, int, int]) -> Image:
    return np.full((48, 64, 3), rgb, np.uint8)


class ColorCamera(LoopbackCamera):
    """Camera whose pictures show only the color `rgb`."""

    def __init__(self, rgb: tuple[int, int, int] = (255, 0, 0)) -> None:
        self.rgb = rgb
        super().__init__(per_second=20)

    def _stream(self, client: BaseHTTPRequestHandler) -> None:
        dead = self.dead
        try:
            while not dead.is_set():
                if not self.stalled.is_set():
                    bgr = plain_picture(self.rgb)[..., ::-1]
                    self._send(client, cv2.imencode(".jpg", bgr)[1].tobytes())
                time.sleep(self.period_s)
        except OSError:
            return


class LiveRun:
    """Owner of the thread of a run."""

    def __init__(self, classifier: Classifier, sources: Sequence[FrameSource], page: LivePage, decides: bool) -> None:
        self._stop = threading.Event()
        self._summaries: tuple[RunSummary, ...] = ()
        self._failure: BaseException | None = None
        rule = decision_rule(INSTANT, classifier.labels) if decides else None
        self._thread = threading.Thread(target=self._run, args=(classifier, sources, page, LoopSettings(rule=rule)))
        self._thread.start()

    def stop(self) -> tuple[RunSummary, ...]:
        self._stop.set()
        return self.end()

    def end(self) -> tuple[RunSummary, ...]:
        """Wait until the run ends."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._summaries

    def _run(
        self, classifier: Classifier, sources: Sequence[FrameSource], page: LivePage, settings: LoopSettings
    ) -> None:
        try:
            self._summaries = run_loop(classifier, sources, [page], settings, event_sinks=[page], stop=self._stop)
        except BaseException as failure:  # noqa: BLE001 - raised again by `stop`
            self._failure = failure


@contextmanager
def live_run(
    classifier: Classifier, sources: Sequence[FrameSource], page: LivePage, *, decides: bool = False
) -> Iterator[LiveRun]:
    run = LiveRun(classifier, sources, page, decides)
    try:
        yield run
    finally:
        run.stop()


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(url: str, path: str = "/", *, method: str = "GET", host: str = "", **headers: str) -> Response:
    """Send one request to the server at `url`, ignoring its path and token; `_` in a header name stands for a dash."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_S)
    try:
        dashed = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers={**({"Host": host} if host else {}), **dashed})
        response = connection.getresponse()
        return Response(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    finally:
        connection.close()


def listen_to(url: str, path: str = "/events") -> Iterator[tuple[str, Any]]:
    """Yield server-sent events as (name, record) until the server ends."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        name = ""
        for line in iter(response.readline, b""):
            if line.startswith(b"event: "):
                name = line.decode().removeprefix("event: ").strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line.removeprefix(b"data: "))
    finally:
        connection.close()


def decoded(jpeg: bytes) -> Image:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.02)
